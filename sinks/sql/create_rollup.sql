INSERT INTO rollups (entity, name, offset_ms, kept_from, rolled_up_to)
VALUES (%(entity)s, %(name)s, %(offset)s, %(kept_from)s, %(start)s)
ON CONFLICT (entity, name) DO NOTHING
