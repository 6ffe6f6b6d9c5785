-- Waits for the transactions that have checked the stored token, and lets no other one check it
-- before the new token is committed. It is an advisory lock because many transactions share it: an
-- exclusive request is queued before later shared ones, which could overtake it for ever with a row
-- lock.
SELECT pg_advisory_xact_lock(hashtext('mobility-hub fence ' || current_schema()))
