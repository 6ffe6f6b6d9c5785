-- No row is touched where the shard is new or the number of shards is another: see reset_progress.sql.
UPDATE progress
SET watermark = greatest(watermark, %(watermark)s)
WHERE entity = %(entity)s AND shard = %(shard)s AND shards = %(shards)s
