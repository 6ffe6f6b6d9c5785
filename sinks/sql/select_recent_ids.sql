-- Ids with news in the last {expiry} seconds, in the order in which they are locked. Less a minute of
-- a day, by which Redis may forget them early: apply.lua has that share as RENEWAL.
SELECT id FROM {totals}
WHERE updated_at > now() - {expiry} * (1 - 1 / 1440.0) * interval '1 second'
ORDER BY id
