(SELECT newest_window FROM sequence_numbers WHERE entity = %(entity)s)
