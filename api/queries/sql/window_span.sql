-- The oldest and the newest window of an entity, from when on all are kept, the watermark, and the
-- columns of the ledger.
SELECT
    numbers.oldest_window,
    numbers.newest_window,
    numbers.kept_from,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark,
    (
        SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = '{ledger}'::regclass
    ) AS columns
FROM (SELECT) AS one
LEFT JOIN sequence_numbers AS numbers ON numbers.entity = %(entity)s
