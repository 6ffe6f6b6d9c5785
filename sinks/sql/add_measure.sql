-- Locked in the order in which readers lock them, so that there is no deadlock: a view before its
-- table, the totals before the ledger. Readers wait behind this, so it gives up soon: after more than
-- the second (deadlock_timeout) after which autovacuum gives way.
SET LOCAL lock_timeout = '1500ms';

LOCK TABLE {metrics}, {windows} IN ACCESS EXCLUSIVE MODE;

ALTER TABLE {totals} ADD COLUMN IF NOT EXISTS {column} bigint;

ALTER TABLE {ledger} ADD COLUMN IF NOT EXISTS {column} bigint;

ALTER TABLE IF EXISTS {before} ADD COLUMN IF NOT EXISTS {column} bigint;
