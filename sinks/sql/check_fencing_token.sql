-- Two statements, so that the second sees what was committed while the first waited.
SELECT pg_advisory_xact_lock_shared(hashtext('mobility-hub fence ' || current_schema()));

SELECT token, holder FROM fence;
