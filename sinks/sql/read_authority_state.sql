-- How far an entity is, as of one moment.
SELECT
    coalesce((SELECT number FROM sequence_numbers WHERE entity = %(entity)s), 0) AS number,
    coalesce((SELECT backfilled FROM sequence_numbers WHERE entity = %(entity)s), 0) AS backfilled,
    (SELECT value FROM meta WHERE name = 'instance_id') AS instance_id,
    (
        SELECT coalesce(jsonb_object_agg(shard, watermark), '{}')
        FROM progress
        WHERE entity = %(entity)s AND shards = %(shards)s
    ) AS progress,
    (
        SELECT coalesce(min(watermark), %(min_event_time)s)
        FROM progress
        WHERE entity = %(entity)s
    ) AS lowest
