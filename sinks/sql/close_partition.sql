-- From here on the partition takes no window, and none is created in its place: who creates one
-- waits for the same advisory lock, and reads `kept_from`. The trigger is also the mark of a
-- partition to drop.
SELECT pg_advisory_xact_lock(hashtext('mobility-hub ' || current_schema()) & 2147483647, 0);

UPDATE sequence_numbers SET kept_from = {end} WHERE entity = {name};

CREATE TRIGGER {mark} BEFORE INSERT OR UPDATE ON {partition}
FOR EACH ROW EXECUTE FUNCTION refuse_dropped_window();
