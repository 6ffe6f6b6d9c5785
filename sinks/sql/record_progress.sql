-- Updates no row where the shard is new or the number of shards has changed: see
-- reset_progress.sql.
UPDATE progress
SET watermark = greatest(watermark, %(watermark)s)
WHERE entity = %(entity)s AND shard = %(shard)s AND shards = %(shards)s
