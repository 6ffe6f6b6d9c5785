-- Where a batch waits to be reconciled. A temporary table is this session's own, needs no WAL, and
-- is empty again after each commit.
CREATE TEMPORARY TABLE staged (
    id text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    trip_count bigint NOT NULL,
    total_duration bigint NOT NULL,
    total_distance bigint NOT NULL,
    total_revenue bigint NOT NULL,
    start_time bigint NOT NULL,
    last_start_time bigint NOT NULL,
    pane text NOT NULL,
    generation bigint NOT NULL
) ON COMMIT DELETE ROWS;

-- The windows that a batch looks up are recent and lie in memory. Priced like a disk, their index
-- would lose to reading the whole ledger.
SET random_page_cost = 1.1;

-- Compiling a statement takes longer than running it on a batch.
SET jit = off;

-- Whoever waits longer for somebody else's lock begins again, so that the log can say what is waited
-- for, and a stop that was asked for meanwhile is noticed.
SET lock_timeout = '5s';
