-- A record is out of date after a second, so no commit waits for the disk, and no statement for a
-- lock.
SET synchronous_commit = off;

SET statement_timeout = '2s';

-- Of processes that have not published a status for a day.
DELETE FROM status WHERE at < now() - interval '1 day';
