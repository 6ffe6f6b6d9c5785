-- A batch is copied here before it is reconciled. A temporary table belongs to this session, writes
-- no WAL, and is emptied at each commit.
CREATE TEMPORARY TABLE staged (
    id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    {measure_columns},
    pane text NOT NULL,
    generation bigint NOT NULL{sketch_columns}
) ON COMMIT DELETE ROWS;

-- The totals of a batch whose windows are copied straight into the ledger.
CREATE TEMPORARY TABLE staged_totals (
    id text COLLATE "C" NOT NULL,
    {total_columns},
    newest_window bigint NOT NULL
) ON COMMIT DELETE ROWS;

-- The windows that a batch looks up are recent, so they are in memory. With the default, which is
-- meant for disks, the planner would prefer a scan of the whole ledger to its index.
SET random_page_cost = 1.1;

-- To compile a statement takes longer than to run it on a batch.
SET jit = off;

-- After a lock timeout the transaction is retried, so that the log names the lock, and a stop that
-- was requested meanwhile is noticed.
SET lock_timeout = '5s';
