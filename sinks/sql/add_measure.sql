-- Readers lock the totals first: so does this, and there is no deadlock.
ALTER TABLE {totals} ADD COLUMN IF NOT EXISTS {column} bigint;

ALTER TABLE {ledger} ADD COLUMN IF NOT EXISTS {column} bigint;

ALTER TABLE IF EXISTS {before} ADD COLUMN IF NOT EXISTS {column} bigint;
