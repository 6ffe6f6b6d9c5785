-- Who may write. This text goes before each script below, so that nothing can slip between the check
-- and the work.
--
-- ARGV of each script begins with: writer, lease in ms, fencing token or '', a text that tells this
-- connection from others. In the meta hash stand the highest token and its holder; the flow that
-- writes and until when; the process that backfills and until when. Every call extends its lease.

local WRITER, LEASE, FENCE, WHO = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Hold a lease, or return who holds it.
local function leased(meta, name, until_name, who)
  local now = now_ms()
  local held = redis.call('HMGET', meta, name, until_name)
  if held[1] and held[1] ~= who and tonumber(held[2] or 0) > now then
    return held[1]
  end
  redis.call('HSET', meta, name, who, until_name, string.format('%.0f', now + LEASE))
  return nil
end

-- Returns the error that this call ends with, if it may not write.
local function refused(meta)
  if FENCE then
    local held = redis.call('HMGET', meta, 'fence', 'fence_holder')
    local token = tonumber(held[1] or 0)
    if FENCE < token then
      return redis.error_reply('FENCED ' .. held[1] .. ' ' .. (held[2] or '?'))
    elseif FENCE > token then -- this store was emptied since the token was taken
      redis.call('HSET', meta, 'fence', ARGV[3], 'fence_holder', WHO)
    end
  end
  if WRITER == 'backfill' then
    return leased(meta, 'backfill', 'backfill_until', WHO) and redis.error_reply('BACKFILL')
  end
  local other = leased(meta, 'writer', 'lease_until', WRITER)
  return other and redis.error_reply('WRITER ' .. other)
end

-- The same for all scripts but the one that signs: nothing is written where the fingerprint was lost.
local function refused_or_unsigned(meta)
  if redis.call('HEXISTS', meta, 'fingerprint') == 0 then
    return redis.error_reply('UNSIGNED')
  end
  return refused(meta)
end
