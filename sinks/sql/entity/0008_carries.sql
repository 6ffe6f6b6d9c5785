-- The sums of many windows can exceed a bigint: such a sum is its carry times 10^18, plus the column
-- that it had alone so far. Of others the carry is null, so no row is rewritten.
--
-- The view shows wider amounts. The type of a column of a view can't be changed, so it is created
-- again, and with it the views that others have made of it. What else depends on them is named in
-- an error. It has the columns of added measures, which the others may show.
--
-- The wait for a lock is short, because whoever reads waits behind it. The view is locked first, as
-- its readers do.
SET LOCAL lock_timeout = '1500ms';

LOCK TABLE {metrics}, {before} IN ACCESS EXCLUSIVE MODE;

ALTER TABLE {totals}
    {added_columns},
    ADD COLUMN total_duration_carry bigint,
    ADD COLUMN total_distance_carry bigint,
    ADD COLUMN total_revenue_carry bigint;

ALTER TABLE {before}
    ADD COLUMN total_duration_carry bigint,
    ADD COLUMN total_distance_carry bigint,
    ADD COLUMN total_revenue_carry bigint;

CREATE TEMPORARY TABLE views ON COMMIT DROP AS
WITH RECURSIVE dependents (oid, level) AS (
    SELECT '{metrics}'::regclass::oid, 0
    UNION
    SELECT ev_class, level + 1
    FROM dependents
    JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = dependents.oid
    JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
    WHERE ev_class <> dependents.oid
)
SELECT
    oid::regclass::text AS name,
    max(level) AS level,
    coalesce(' WITH (' || array_to_string(reloptions, ', ') || ')', '') AS options,
    pg_get_viewdef(oid) AS definition,
    relowner AS owner,
    relacl AS acl
FROM dependents
JOIN pg_class USING (oid)
GROUP BY oid, reloptions, relowner, relacl;

UPDATE views SET definition = '
    SELECT
        id,
        trip_count,
        coalesce(
            (coalesce(total_duration_carry, 0) * 1e18 + total_duration)::float8
                / (nullif(trip_count, 0) * 1000000),
            0
        ) AS avg_duration,
        (coalesce(total_duration_carry, 0) * 1e12 + total_duration * 0.000001)::numeric(38, 6)
            AS total_duration,
        (coalesce(total_distance_carry, 0) * 1e12 + total_distance * 0.000001)::numeric(38, 6)
            AS total_distance,
        (coalesce(total_revenue_carry, 0) * 1e12 + total_revenue * 0.000001)::numeric(38, 6)
            AS total_revenue,
        epoch_ms_to_time(start_time) AS start_time,
        epoch_ms_to_time(coalesce(last_start_time, start_time))
            AS last_start_time{added_in_units}
    FROM {totals}'
WHERE level = 0;

DO $migration$
DECLARE
    view record;
    privilege record;
BEGIN
    EXECUTE (SELECT 'DROP VIEW ' || string_agg(name, ', ') FROM views);
    FOR view IN SELECT * FROM views ORDER BY level LOOP
        EXECUTE format('CREATE VIEW %s%s AS %s', view.name, view.options, view.definition);
        EXECUTE format('ALTER VIEW %s OWNER TO %s', view.name, view.owner::regrole);
        FOR privilege IN
            SELECT
                privilege_type AS name,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee
            FROM aclexplode(view.acl)
            WHERE grantee <> view.owner
        LOOP
            EXECUTE format(
                'GRANT %s ON %s TO %s', privilege.name, view.name, privilege.grantee
            );
        END LOOP;
    END LOOP;
END
$migration$;

DROP TABLE views;
