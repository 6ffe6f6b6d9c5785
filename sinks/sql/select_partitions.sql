-- The partitions of the ledger, from the earliest on: from when to when, in epoch ms. The first may
-- have no beginning. One that is being detached is none any more.
SELECT
    partition.relname AS name,
    substring(bound FROM $$FROM \('?(-?[0-9]+)'?\)$$)::bigint AS start,
    substring(bound FROM $$TO \('?(-?[0-9]+)'?\)$$)::bigint AS end
FROM pg_inherits
JOIN pg_class AS partition ON partition.oid = inhrelid
CROSS JOIN LATERAL pg_get_expr(relpartbound, partition.oid) AS bound
WHERE inhparent = '{ledger}'::regclass AND NOT inhdetachpending
ORDER BY start NULLS FIRST
