SELECT id, {totals_of_ids} FROM {totals} AS totals
