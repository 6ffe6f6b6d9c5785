SELECT kept_from FROM sequence_numbers WHERE entity = %(entity)s
