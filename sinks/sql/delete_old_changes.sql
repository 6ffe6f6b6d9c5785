DELETE FROM changes WHERE entity = %(entity)s AND at < now() - interval '1 hour'
