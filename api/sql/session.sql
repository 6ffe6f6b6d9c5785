-- The API only reads, thinks in UTC, and wants no answer that nobody waits for any more.
SELECT
    set_config('default_transaction_read_only', 'on', false),
    set_config('timezone', 'UTC', false),
    set_config('statement_timeout', '3000', false)
