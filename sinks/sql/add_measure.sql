-- The views are locked already (lock_view.sql).
ALTER TABLE {totals} ADD COLUMN IF NOT EXISTS {column} bigint;

ALTER TABLE {ledger} ADD COLUMN IF NOT EXISTS {column} bigint;

ALTER TABLE IF EXISTS {before} ADD COLUMN IF NOT EXISTS {column} bigint;

ALTER TABLE IF EXISTS {hours} ADD COLUMN IF NOT EXISTS {column} bigint;

ALTER TABLE IF EXISTS {days} ADD COLUMN IF NOT EXISTS {column} bigint;
