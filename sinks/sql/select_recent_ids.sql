-- Ids with new windows in the last {expiry} seconds, which should not have expired in Redis.
SELECT id FROM {totals}
WHERE updated_at > now() - {expiry} * interval '1 second'
