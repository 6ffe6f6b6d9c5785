-- Ids with new windows in the last {expiry} seconds, which should not have expired in Redis; and
-- some more, as it may have been written later, and its clock may be another.
SELECT id FROM {totals}
WHERE updated_at > now() - {expiry} * interval '1 second' - interval '10 minutes'
