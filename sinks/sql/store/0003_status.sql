-- One row per process, updated every second: free space in each page keeps the new row in it (HOT).
CREATE TABLE status (
    process text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    record jsonb NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE status IS
    'What each process says of itself, and when it did: one that has been silent for a minute is gone.';
