-- The lock is shared, so that all sessions of one flow hold it, and belongs to the session: the
-- server releases it when the process ends. A flow takes its own lock first and then looks for the
-- other's (select_other_flows.sql), so of two flows that start at once at least one sees the other.
-- https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
SELECT pg_advisory_lock_shared(
    hashtext('mobility-hub ' || current_schema()) & 2147483647, %(writer)s::integer
)
