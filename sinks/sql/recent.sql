-- Ids with news in the last {expiry} seconds, in the order in which they are locked.
SELECT id FROM {totals}
WHERE updated_at > now() - {expiry} * interval '1 second'
ORDER BY id
