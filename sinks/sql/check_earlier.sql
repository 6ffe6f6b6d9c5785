-- That all windows so far are before the end of their last week, also those that are written from
-- now on. They are not read for that: VALIDATE CONSTRAINT does, and nobody waits for it.
SET LOCAL lock_timeout = '1500ms';

DO $check$
DECLARE
    newest bigint;
BEGIN
    LOCK TABLE {ledger} IN ACCESS EXCLUSIVE MODE;
    newest := (SELECT max(window_start) FROM {ledger});
    EXECUTE format(
        'ALTER TABLE {ledger} ADD CONSTRAINT {earlier_check} CHECK (window_start < %L) NOT VALID',
        greatest(
            {monday} + (floor((newest - {monday})::numeric / {week}) + 1)::bigint * {week}, {monday}
        )
    );
END
$check$;
