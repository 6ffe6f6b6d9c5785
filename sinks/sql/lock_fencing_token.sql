-- Waits for the transactions that are checked against the present token, and lets no other begin
-- before the new one is there. An advisory lock, because those who share it are as many as there are
-- shards: whoever waits alone is next in its queue, while sharers of a row could overtake for ever.
SELECT pg_advisory_xact_lock(hashtext('mobility-hub fence ' || current_schema()))
