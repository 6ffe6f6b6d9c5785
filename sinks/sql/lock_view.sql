-- Readers lock a view before its table: so does who changes both, and there is no deadlock. They wait
-- behind this lock, so it is given up soon: after more than the second (deadlock_timeout) after which
-- autovacuum gives way.
SET LOCAL lock_timeout = '1500ms';

LOCK TABLE {view} IN ACCESS EXCLUSIVE MODE;
