-- The lock is shared, so that all partitions of one flow hold it, and belongs to the session: the
-- server releases it when the process dies. A flow takes its own lock first and looks for the
-- other's afterwards (select_other_flows.sql), so of two that start at once at least one sees the other.
SELECT pg_advisory_lock_shared(
    hashtext('mobility-hub ' || current_schema()) & 2147483647, %(writer)s::integer
)
