-- A record older than the expiry does not count, as in Redis.
SELECT process, extract(epoch FROM now() - at)::float8 AS age, record::text AS record
FROM status
WHERE at > now() - %(expiry)s * interval '1 second'
ORDER BY process COLLATE "C"
