-- Who may write. This file precedes each script that writes, so that check and work are atomic.
--
-- The ARGV of each script begins with: role of the writer, length of its lease in ms, fencing token
-- or '', and a description of the process. The meta hash has the highest token and its holder, the
-- flow that writes and when its lease expires, and the same of the backfill. Each call extends the
-- lease of its writer.

local WRITER, LEASE_MS, FENCE, PROCESS = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Take or extend a lease. Returns its holder where another one holds it.
local function acquire_lease(meta, holder_field, expiry_field, holder)
  local now = now_ms()
  local stored = redis.call('HMGET', meta, holder_field, expiry_field)
  if stored[1] and stored[1] ~= holder and tonumber(stored[2] or 0) > now then
    return stored[1]
  end
  redis.call('HSET', meta, holder_field, holder,
    expiry_field, string.format('%.0f', now + LEASE_MS))
  return nil
end

-- Returns the error reply for a writer that may not write, else nil.
local function check_writer(meta)
  if FENCE then
    local stored = redis.call('HMGET', meta, 'fence', 'fence_holder')
    local token = tonumber(stored[1] or 0)
    if FENCE < token then
      return redis.error_reply('FENCED ' .. stored[1] .. ' ' .. (stored[2] or '?'))
    elseif FENCE > token then -- Redis was emptied after the token was taken
      redis.call('HSET', meta, 'fence', ARGV[3], 'fence_holder', PROCESS)
    end
  end
  if WRITER == 'backfill' then
    return acquire_lease(meta, 'backfill', 'backfill_until', PROCESS)
      and redis.error_reply('BACKFILL')
  end
  local other = acquire_lease(meta, 'writer', 'lease_until', WRITER)
  return other and redis.error_reply('WRITER ' .. other)
end

-- The same for every script but initialize.lua: without a fingerprint nothing is written.
local function check_initialized(meta)
  if redis.call('HEXISTS', meta, 'fingerprint') == 0 then
    return redis.error_reply('UNINITIALIZED')
  end
  return check_writer(meta)
end
