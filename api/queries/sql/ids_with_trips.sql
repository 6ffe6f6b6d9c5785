SELECT id, {additive_of_totals} FROM {totals} WHERE trip_count > 0
