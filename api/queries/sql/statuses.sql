-- A process that has said nothing for so long is gone, here as in Redis.
SELECT process, extract(epoch FROM now() - at)::float8, record::text
FROM status
WHERE at > now() - %(expiry)s * interval '1 second'
ORDER BY process COLLATE "C"
