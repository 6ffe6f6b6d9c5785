-- Locked before the moment is chosen: from then on no partition is dropped.
LOCK TABLE ONLY {ledger} IN ACCESS SHARE MODE;

-- From when on the ledger has all windows, what rollups have, and the hours of a span that changed
-- since. There is a row for each rollup, and at least one.
SELECT
    numbers.oldest_window,
    numbers.kept_from,
    rollups.name,
    rollups.offset_ms,
    rollups.kept_from AS rollup_kept_from,
    rollups.rolled_up_to,
    (
        SELECT coalesce(array_agg(DISTINCT hour ORDER BY hour), '{{}}') FROM stale_hours
        WHERE entity = {entity_name} AND hour >= {start} AND hour < {end}
    ) AS stale_hours
FROM (SELECT) AS one
LEFT JOIN sequence_numbers AS numbers ON numbers.entity = {entity_name}
LEFT JOIN rollups ON rollups.entity = {entity_name}
