-- One process at a time maintains the ledger. The lock belongs to the session; its second key is behind
-- those of the writers.
SELECT pg_try_advisory_lock(
    hashtext('mobility-hub ' || current_schema()) & 2147483647, %(key)s::integer
)
