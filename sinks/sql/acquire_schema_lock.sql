-- One start at a time looks at the schema; released with the transaction. Writers use 1 and above.
SELECT pg_advisory_xact_lock(hashtext('mobility-hub ' || current_schema()) & 2147483647, 0)
