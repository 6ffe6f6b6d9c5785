SELECT name, offset_ms, kept_from, rolled_up_to FROM rollups WHERE entity = %(entity)s
