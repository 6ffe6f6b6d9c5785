SELECT
    coalesce((SELECT number FROM sequence_numbers WHERE entity = %(entity)s), 0) AS number,
    (SELECT value FROM meta WHERE name = 'instance_id') AS instance_id
