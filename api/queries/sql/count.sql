SELECT count(*) AS number FROM {totals} WHERE id >= %(prefix)s AND id < %(prefix_end)s
