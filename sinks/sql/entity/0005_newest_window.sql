-- When the newest window of an id starts: a follower has it, and looking it up in the ledger took
-- longer than writing the window there.
ALTER TABLE {totals} ADD COLUMN newest_window bigint;

UPDATE {totals} AS totals SET newest_window = (
    SELECT max(window_start) FROM {ledger} AS ledger WHERE ledger.id = totals.id
);
