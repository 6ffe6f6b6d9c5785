SELECT count(*) AS number FROM ({ids}) AS ids WHERE id >= %(prefix)s AND id < %(prefix_end)s
