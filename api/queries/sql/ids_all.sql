SELECT id, {additive} FROM {totals}
