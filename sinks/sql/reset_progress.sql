-- Every shard of a new layout starts where the slowest of the old one stood: all rows up to there
-- are in the store, whichever shard they came from. The lock makes one shard do it for all.
LOCK TABLE progress IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO progress (entity, shard, shards, watermark)
SELECT
    {entity},
    shard,
    {shards},
    (SELECT coalesce(min(watermark), {unheard}) FROM progress WHERE entity = {entity})
FROM generate_series(0, {shards} - 1) AS shard
ON CONFLICT (entity, shard) DO UPDATE SET
    shards = excluded.shards,
    watermark = excluded.watermark
WHERE progress.shards <> excluded.shards;

DELETE FROM progress WHERE entity = {entity} AND shard >= {shards};
