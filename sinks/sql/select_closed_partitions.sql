-- The partitions to drop, and how far that is: `attached`, `detaching` or `detached`.
SELECT
    partition.relname AS name,
    CASE
        WHEN inhrelid IS NULL THEN 'detached'
        WHEN inhdetachpending THEN 'detaching'
        ELSE 'attached'
    END AS state
FROM pg_trigger AS mark
JOIN pg_class AS partition ON partition.oid = mark.tgrelid
LEFT JOIN pg_inherits ON inhrelid = partition.oid
WHERE mark.tgname = %(mark)s
    AND partition.relnamespace = current_schema()::regnamespace
ORDER BY partition.relname
