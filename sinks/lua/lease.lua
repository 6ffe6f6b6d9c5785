-- One flow writes to a store. Its name stands in the meta hash with the time until which it holds;
-- every call of that flow extends it, any call of another is refused while it lasts. This text goes
-- before each script below, so that no write can slip between the check and the work.

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Returns the flow that holds the store, if it is not this one.
local function holder(meta, writer, lease_ms)
  local now = now_ms()
  local held = redis.call('HMGET', meta, 'writer', 'lease_until')
  if held[1] and held[1] ~= writer and tonumber(held[2]) > now then
    return held[1]
  end
  redis.call('HSET', meta, 'writer', writer, 'lease_until', string.format('%.0f', now + lease_ms))
  return nil
end
