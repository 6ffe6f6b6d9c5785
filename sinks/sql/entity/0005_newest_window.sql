-- When the newest window of an id starts: a follower has it, and looking it up in the ledger took
-- longer than writing the window there. It is null until the id has its next windows, and is looked
-- up until then: filling it in here would lock the totals for as long as there are ids.
ALTER TABLE {totals} ADD COLUMN newest_window bigint;
