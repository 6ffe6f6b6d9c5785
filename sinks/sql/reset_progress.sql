-- Where the number of shards has changed, every new shard starts at the minimum of the old ones:
-- all windows up to there are in the store, whichever shard they came from. The lock makes one
-- shard do this for all.
LOCK TABLE progress IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO progress (entity, shard, shards, watermark)
SELECT
    {entity},
    shard,
    {shards},
    (SELECT coalesce(min(watermark), {min_event_time}) FROM progress WHERE entity = {entity})
FROM generate_series(0, {shards} - 1) AS shard
ON CONFLICT (entity, shard) DO UPDATE SET
    shards = excluded.shards,
    watermark = excluded.watermark
WHERE progress.shards <> excluded.shards;

DELETE FROM progress WHERE entity = {entity} AND shard >= {shards};
