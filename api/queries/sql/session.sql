-- The API only reads, thinks in UTC, and wants no answer that nobody waits for any more. What it
-- looks up is recent and lies in memory; priced like a disk, an index would lose to reading all.
SELECT
    set_config('default_transaction_read_only', 'on', false),
    set_config('timezone', 'UTC', false),
    set_config('statement_timeout', %(timeout)s, false),
    set_config('work_mem', %(memory)s, false),
    set_config('random_page_cost', '1.1', false),
    set_config('jit', 'off', false)
