-- A record is out of date in a second: nobody waits for the disk or for somebody else on its behalf.
-- Processes that have not spoken for a day were of another layout.
SET synchronous_commit = off;

SET statement_timeout = '2s';

DELETE FROM status WHERE at < now() - interval '1 day';
