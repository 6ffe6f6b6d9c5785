SELECT count(*) FROM {totals} WHERE id >= %(prefix)s AND id < %(beyond)s
