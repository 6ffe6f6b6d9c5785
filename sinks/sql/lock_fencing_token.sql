-- Waits for the transactions that have checked the stored token, and lets no other one start before
-- the new token is committed. It is an advisory lock because there are as many sharers as shards:
-- an exclusive request is queued before later sharers, while sharers of a row lock could overtake
-- it for ever.
SELECT pg_advisory_xact_lock(hashtext('mobility-hub fence ' || current_schema()))
