-- One backfill at a time writes beside the flow: its lock is exclusive. The wait ends after the
-- session's lock_timeout, long enough for the server to notice that a previous backfill has ended.
SELECT pg_advisory_lock(
    hashtext('mobility-hub ' || current_schema()) & 2147483647, %(writer)s::integer
)
