UPDATE sequence_numbers SET refused = refused + %(refused)s WHERE entity = %(entity)s
