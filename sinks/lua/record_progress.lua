-- KEYS: meta, progress. ARGV after those of lease.lua: shard, shards, watermark in epoch ms, the
-- watermark of a shard that never spoke.
local refusal = refused_or_unsigned(KEYS[1])
if refusal then
  return refusal
end
local SHARD, SHARDS, WATERMARK, UNHEARD = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]

-- Every shard of a new layout starts where the slowest of the old one stood.
if redis.call('HLEN', KEYS[2]) ~= SHARDS then
  local lowest
  for _, held in ipairs(redis.call('HVALS', KEYS[2])) do
    if not lowest or tonumber(held) < tonumber(lowest) then
      lowest = held
    end
  end
  redis.call('DEL', KEYS[2])
  for shard = 0, SHARDS - 1 do
    redis.call('HSET', KEYS[2], shard, lowest or UNHEARD)
  end
end

if tonumber(WATERMARK) > tonumber(redis.call('HGET', KEYS[2], SHARD)) then
  redis.call('HSET', KEYS[2], SHARD, WATERMARK)
end
