-- Number this transaction, and record which ids it has touched, if Postgres is followed, and which
-- hours, if they may be in rollups. This is its last statement, so that others wait for the row only
-- while this one is committed. Numbers become visible in their order, as each transaction holds the
-- row until its commit.
WITH numbered AS (
    INSERT INTO sequence_numbers (entity, number, backfilled, oldest_window, newest_window)
    VALUES (%(entity)s, 1, %(is_backfill)s::integer, %(oldest)s, %(newest)s)
    ON CONFLICT (entity) DO UPDATE SET
        number = sequence_numbers.number + 1,
        oldest_window = least(sequence_numbers.oldest_window, excluded.oldest_window),
        newest_window = greatest(sequence_numbers.newest_window, excluded.newest_window),
        backfilled = CASE
            WHEN %(is_backfill)s THEN sequence_numbers.number + 1
            ELSE sequence_numbers.backfilled
        END
    RETURNING number, backfilled, rolling_to
),
recorded AS (
    INSERT INTO changes (entity, number, ids)
    SELECT %(entity)s, number, %(ids)s
    FROM numbered
    WHERE %(ids)s::text IS NOT NULL
),
staled AS (
    INSERT INTO stale_hours (entity, number, hour)
    SELECT DISTINCT %(entity)s, number, start - mod(mod(start, 3600000) + 3600000, 3600000)
    FROM numbered, unnest(%(changed)s::bigint[]) AS start
    WHERE start < rolling_to
)
SELECT
    number,
    backfilled,
    (SELECT value FROM meta WHERE name = 'instance_id') AS instance_id
FROM numbered
