-- Flows other than ours that hold their lock. A lock of two integers shows its first as `classid`,
-- its second as `objid`, and 2 as `objsubid`.
SELECT DISTINCT objid::integer
FROM pg_locks
WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = hashtext('mobility-hub ' || current_schema()) & 2147483647
    AND objsubid = 2
    AND objid::integer <> %(writer)s
    AND objid::integer BETWEEN 1 AND %(flows)s
    AND granted
