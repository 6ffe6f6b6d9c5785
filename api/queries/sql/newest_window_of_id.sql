(SELECT newest_window FROM {totals} WHERE id = %(id)s)
