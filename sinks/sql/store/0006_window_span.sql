-- Between which windows the ledger of an entity reaches: an answer about all ids has the newest one,
-- and to find it in the ledger the planner would look at all of its partitions.
ALTER TABLE sequence_numbers
    ADD COLUMN oldest_window bigint,
    ADD COLUMN newest_window bigint;
COMMENT ON COLUMN sequence_numbers.newest_window IS
    'When the newest window of the entity starts, of any id (epoch ms).';
