-- Raise the watermark of a shard, after resetting all shards where their number has changed.
-- KEYS: meta, progress. ARGV after those of lease.lua: shard, number of shards, watermark in epoch
-- ms, the watermark of a shard that has recorded none.
local err = check_initialized(KEYS[1])
if err then
  return err
end
local SHARD, SHARDS, WATERMARK, MIN_EVENT_TIME = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]

-- Every new shard starts at the minimum of the old ones.
if redis.call('HLEN', KEYS[2]) ~= SHARDS then
  local lowest
  for _, stored in ipairs(redis.call('HVALS', KEYS[2])) do
    if not lowest or tonumber(stored) < tonumber(lowest) then
      lowest = stored
    end
  end
  redis.call('DEL', KEYS[2])
  for shard = 0, SHARDS - 1 do
    redis.call('HSET', KEYS[2], shard, lowest or MIN_EVENT_TIME)
  end
end

if tonumber(WATERMARK) > tonumber(redis.call('HGET', KEYS[2], SHARD)) then
  redis.call('HSET', KEYS[2], SHARD, WATERMARK)
end
