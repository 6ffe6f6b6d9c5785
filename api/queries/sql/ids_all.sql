SELECT id, {additive_of_totals} FROM {totals}
