-- Of the writers that go beside the flows there is one at a time: its lock is its own alone. The
-- session's lock_timeout ends the waiting; a moment of it covers what the server has yet to notice.
SELECT pg_advisory_lock(
    hashtext('mobility-hub ' || current_schema()) & 2147483647, %(writer)s::integer
)
