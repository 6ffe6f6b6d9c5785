-- One migration at a time; the lock is released with the transaction. Its second key is 0: those of
-- the writers start at 1.
SELECT pg_advisory_xact_lock(hashtext('mobility-hub ' || current_schema()) & 2147483647, 0)
