-- KEYS: meta, progress. ARGV: writer, lease in ms, shard, shards, watermark in epoch ms, the
-- watermark of a shard that never spoke.
local other = holder(KEYS[1], ARGV[1], ARGV[2])
if other then
  return redis.error_reply('WRITER ' .. other)
end

-- Every shard of a new layout starts where the slowest of the old one stood.
if redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[4]) then
  local lowest
  for _, held in ipairs(redis.call('HVALS', KEYS[2])) do
    if not lowest or tonumber(held) < tonumber(lowest) then
      lowest = held
    end
  end
  redis.call('DEL', KEYS[2])
  for shard = 0, tonumber(ARGV[4]) - 1 do
    redis.call('HSET', KEYS[2], shard, lowest or ARGV[6])
  end
end

if tonumber(ARGV[5]) > tonumber(redis.call('HGET', KEYS[2], ARGV[3])) then
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[5])
end
