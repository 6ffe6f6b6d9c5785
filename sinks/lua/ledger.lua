-- The state of an id, and its two hashes: totals, for any client, and the ledger, whose field
-- `totals` is the state and whose other fields are windows. This file follows amounts.lua and
-- precedes the script that uses it. The ARGV of that script have after those of lease.lua: prefix
-- of totals, prefix of ledgers, expiry in s, retention of the ledger in ms.

local min, max = math.min, math.max
local TOTALS, LEDGER = ARGV[5], ARGV[6]
local EXPIRY, RETENTION = tonumber(ARGV[7]), tonumber(ARGV[8])
-- A window in the ledger: generation, trip_count, duration, distance, revenue, start, pane (not
-- captured), latest start. Windows of release 0.1 end with the pane; their latest start is the
-- start.
local WINDOW = '^([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) [^ ]+ ?(.*)$'
local NINE = '^([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ \n]+)'
-- States of earlier releases end before `renewed_at`, or after it.
local STATE = NINE .. ' ([^ ]+) ([^ ]+) ?(%d*) ?([^ ]*) ?([^ ]*)'

-- Call a command with many arguments in chunks: Lua can't pass more than some thousand at once. A
-- chunk has an even number of them, so that pairs stay together.
local function call_in_chunks(command, key, arguments, number)
  for first = 1, number, 1000 do
    redis.call(command, key, unpack(arguments, first, min(first + 999, number)))
  end
end

-- The earliest and the latest start of a window, from what WINDOW captures; false for a window
-- without trips, which a backfill can leave.
local function starts_of(count, start, last)
  if tonumber(count) == 0 then
    return false, false
  end
  return start, last ~= '' and last or start
end

-- The state of the current id; one table is reused for all ids, to save garbage collection. Amounts
-- are in whole units and millionths (`_micro`), normalized.
--   count: trips of all windows
--   start, last: earliest and latest start of all windows
--   pruned_start, pruned_last: the same of the windows that were removed from the ledger
--   has_last: whether the stored state had a latest start, which earlier releases left out
--   oldest: no window in the ledger starts before this; newest: the latest window start
--   renewed_at: when the time to live was last set to EXPIRY, in epoch ms, or 0
local current = {}

-- Set the state to that of an id without windows, and return it.
local function empty_state()
  current.count, current.oldest, current.newest = 0, math.huge, -math.huge
  current.duration, current.duration_micro = 0, 0
  current.distance, current.distance_micro = 0, 0
  current.revenue, current.revenue_micro = 0, 0
  current.start, current.pruned_start, current.renewed_at = false, false, 0
  current.last, current.pruned_last, current.has_last = false, false, true
  return current
end

-- Set the state from its text in a ledger, and return it; `write_id` formats the text.
local function parse_state(text)
  local count, d, d_micro, k, k_micro, r, r_micro, oldest, newest, start, pruned_start, renewed_at,
    last, pruned_last = match(text, STATE)
  current.count, current.oldest, current.newest = count + 0, oldest + 0, newest + 0
  current.duration, current.duration_micro = d + 0, d_micro + 0
  current.distance, current.distance_micro = k + 0, k_micro + 0
  current.revenue, current.revenue_micro = r + 0, r_micro + 0
  current.start = start ~= '-' and start
  current.pruned_start = pruned_start ~= '-' and pruned_start
  current.renewed_at = tonumber(renewed_at) or 0
  current.has_last = last ~= ''
  if not current.has_last then
    last, pruned_last = start, pruned_start
  end
  current.last = last ~= '-' and last
  current.pruned_last = pruned_last ~= '-' and pruned_last
  return current
end

-- The name of a total that is too large for exact sums, if there is one: the sum of two numbers
-- below 2^52 is exact as a double.
local EXACT_UNITS = 2 ^ 52
local function inexact_total(state)
  if state.duration >= EXACT_UNITS or state.duration < -EXACT_UNITS then
    return 'total_duration'
  elseif state.distance >= EXACT_UNITS or state.distance < -EXACT_UNITS then
    return 'total_distance'
  elseif state.revenue >= EXACT_UNITS or state.revenue < -EXACT_UNITS then
    return 'total_revenue'
  end
end

-- Read the whole ledger, which is rarely needed: remove windows older than the retention and, where
-- `find_starts` is true, compute the starts. A removed window stays in the totals and the starts.
local function scan_ledger(ledger, state, find_starts)
  local removed = {}
  local fields = redis.call('HGETALL', ledger)
  local earliest, latest = false, false
  state.oldest = math.huge
  for i = 1, #fields, 2 do
    local window_start = tonumber(fields[i])
    if window_start then
      local _, count, _, _, _, first, final = match(fields[i + 1], WINDOW)
      local start, last = starts_of(count, first, final)
      if window_start < state.newest - RETENTION then
        removed[#removed + 1] = fields[i]
        state.pruned_start = earlier(state.pruned_start, start)
        state.pruned_last = later(state.pruned_last, last)
      else
        state.oldest = min(state.oldest, window_start)
        earliest, latest = earlier(earliest, start), later(latest, last)
      end
    end
  end
  if find_starts then
    state.start = earlier(earliest, state.pruned_start)
    state.last = later(latest, state.pruned_last)
    state.has_last = true
  end
  call_in_chunks('HDEL', ledger, removed, #removed)
end

-- The field `start_time` of the totals, where it differs from the stored one.
local function start_field(start, stored_start)
  if start ~= stored_start then
    return 'start_time', start or ''
  end
end

-- Write the totals and the state of an id, and the first `elements` items of `fields`: names and
-- values of its ledger, with room for two more. `stored_start` is the start in the stored totals,
-- nil where there are none.
local function write_id(id, ledger, state, fields, elements, stored_start)
  local count = state.count
  fields[elements + 1] = 'totals'
  fields[elements + 2] = format('%d %d %d %d %d %d %d %d %d %s %s %d %s %s',
    count, state.duration, state.duration_micro, state.distance, state.distance_micro,
    state.revenue, state.revenue_micro, state.oldest, state.newest,
    state.start or '-', state.pruned_start or '-', state.renewed_at, state.last or '-',
    state.pruned_last or '-')
  call_in_chunks('HSET', ledger, fields, elements + 2)
  redis.call('HSET', TOTALS .. id,
    'trip_count', format('%d', count),
    'avg_duration', format_mean(state.duration, state.duration_micro, count),
    'total_duration', format_units(state.duration, state.duration_micro),
    'total_distance', format_units(state.distance, state.distance_micro),
    'total_revenue', format_units(state.revenue, state.revenue_micro),
    'last_start_time', state.last or '',
    start_field(state.start, stored_start))
end
