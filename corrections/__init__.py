"""Dead letters and late trips: list them, show them, correct them and send them again."""
