-- Other flows that hold their lock. In pg_locks an advisory lock of two integers has the first as
-- `classid`, the second as `objid`, and 2 as `objsubid`.
-- https://www.postgresql.org/docs/current/view-pg-locks.html
SELECT DISTINCT objid::integer
FROM pg_locks
WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = hashtext('mobility-hub ' || current_schema()) & 2147483647
    AND objsubid = 2
    AND objid::integer <> %(writer)s
    AND objid::integer BETWEEN 1 AND %(flows)s
    AND granted
