SELECT id, window_start, {known_measures}, pane, generation FROM {ledger}
