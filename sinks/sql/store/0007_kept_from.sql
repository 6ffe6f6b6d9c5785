ALTER TABLE sequence_numbers
    ADD COLUMN kept_from bigint,
    ADD COLUMN refused bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN sequence_numbers.kept_from IS
    'From when on the ledger has all windows (epoch ms): earlier ones were dropped. Null: it has all.';
COMMENT ON COLUMN sequence_numbers.refused IS
    'Windows that came after they could have been dropped, and were not counted.';

-- A partition that will be dropped takes no window any more, from whoever does not know that yet.
CREATE FUNCTION refuse_dropped_window() RETURNS trigger
LANGUAGE plpgsql
AS $refuse$
BEGIN
    RAISE check_violation USING MESSAGE = format('the windows of %s were dropped', tg_table_name);
END
$refuse$;
