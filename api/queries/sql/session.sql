-- The API only reads and uses UTC; a query ends when its client has disconnected. The rows that it
-- looks up are recent and in memory: with the costs of a disk, the planner would prefer a full scan
-- to an index. Each execution is planned, because the partitions are chosen by its values.
SELECT
    set_config('default_transaction_read_only', 'on', false),
    set_config('timezone', 'UTC', false),
    set_config('statement_timeout', %(timeout)s, false),
    set_config('work_mem', %(memory)s, false),
    set_config('random_page_cost', '1.1', false),
    set_config('jit', 'off', false),
    set_config('plan_cache_mode', 'force_custom_plan', false)
