-- Whoever writes there is waited for, and waits: these are backfills. Readers go on, also when the
-- trigger is created, which needs this lock.
LOCK TABLE {partition} IN SHARE ROW EXCLUSIVE MODE
