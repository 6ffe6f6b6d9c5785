-- From when on the ledger has all windows; null, or no row, where it has all of them.
SELECT kept_from FROM sequence_numbers WHERE entity = %(entity)s
