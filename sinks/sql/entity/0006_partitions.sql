-- The ledger becomes a table that is partitioned by weeks (sinks/partitions.py). What it has so far
-- is not copied: the table becomes the partition of all time up to the end of its last week. Nothing
-- is read for that, where sinks/partitioning_upgrade.py has checked it before.
--
-- The wait for a lock is short, because whoever reads waits behind it; and longer than the second
-- (deadlock_timeout) after which autovacuum gives way. The view is locked first, as
-- its readers do.
SET LOCAL lock_timeout = '1500ms';

LOCK TABLE {windows} IN ACCESS EXCLUSIVE MODE;

DO $migration$
DECLARE
    definition text := pg_get_viewdef('{windows}'::regclass);
    acl aclitem[] := (SELECT relacl FROM pg_class WHERE oid = '{ledger}'::regclass);
    newest bigint := (SELECT max(window_start) FROM {ledger});
    week_end bigint := greatest(
            {monday} + (floor((newest - {monday})::numeric / {week}) + 1)::bigint * {week}, {monday}
        );
    privilege record;
BEGIN
    ALTER TABLE {ledger} RENAME TO {earlier};
    ALTER INDEX IF EXISTS {primary_key} RENAME TO {earlier_primary_key};
    CREATE TABLE {ledger} (LIKE {earlier} INCLUDING DEFAULTS) PARTITION BY RANGE (window_start);
    ALTER TABLE {ledger} ADD PRIMARY KEY (id, window_start);
    EXECUTE 'CREATE OR REPLACE VIEW {windows} AS ' || definition;
    FOR privilege IN
        SELECT
            privilege_type AS name,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee
        FROM aclexplode(acl)
        WHERE grantee <> (SELECT relowner FROM pg_class WHERE oid = '{earlier}'::regclass)
    LOOP
        EXECUTE format('GRANT %s ON {ledger} TO %s', privilege.name, privilege.grantee);
    END LOOP;
    IF newest IS NULL THEN
        DROP TABLE {earlier};
        RETURN;
    END IF;
    EXECUTE format(
        'ALTER TABLE {ledger} ATTACH PARTITION {earlier} FOR VALUES FROM (MINVALUE) TO (%L)',
        week_end
    );
    ALTER TABLE {earlier} DROP CONSTRAINT IF EXISTS {earlier_check};
    INSERT INTO sequence_numbers AS numbers (entity, number, oldest_window, newest_window)
    SELECT {name}, 0, min(window_start), newest FROM {earlier}
    ON CONFLICT (entity) DO UPDATE SET
        oldest_window = excluded.oldest_window,
        newest_window = excluded.newest_window;
END
$migration$;
