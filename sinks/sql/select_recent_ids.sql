-- Ids with new windows in the last {expiry} seconds, sorted as they are locked. Less a minute a
-- day, by which Redis may let them expire early: see RENEWAL in apply.lua.
SELECT id FROM {totals}
WHERE updated_at > now() - {expiry} * (1 - 1 / 1440.0) * interval '1 second'
ORDER BY id
