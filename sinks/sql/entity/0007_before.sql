-- The dropped windows of an id, as one: with the windows in the ledger they make its totals.
CREATE TABLE {before} (
    id text COLLATE "C" PRIMARY KEY,
    {total_columns},
    generation bigint NOT NULL
) WITH (fillfactor = 80);
