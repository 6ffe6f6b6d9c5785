-- A change of the catalogue: no row is rewritten. It is in no view and in no totals.
ALTER TABLE {ledger} ADD COLUMN IF NOT EXISTS {column} bytea;
