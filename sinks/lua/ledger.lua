-- What is known of an id, its state, and the hashes that it is kept in: totals for any reader, and
-- the ledger, whose field `totals` is the state and whose other fields are windows. This goes after
-- amounts.lua and before the script that uses it, whose ARGV has after those of lease.lua: prefix of
-- totals, prefix of ledgers, expiry in s, retention of the ledger in ms.

local min, max = math.min, math.max
local TOTALS, LEDGER = ARGV[5], ARGV[6]
local EXPIRY, RETENTION = tonumber(ARGV[7]), tonumber(ARGV[8])
-- generation, trip_count, duration, distance, revenue, start, pane, which is not captured, latest
-- start; windows of the first release end with the pane, and the start stands for both
local WINDOW = '^([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) [^ ]+ ?(.*)$'
local NINE = '^([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+) ([^ \n]+)'
local HISTORY = NINE .. ' ([^ ]+) ([^ \n]+)'
-- states of the first release end before the number, or after it
local STATE = NINE .. ' ([^ ]+) ([^ ]+) ?(%d*) ?([^ ]*) ?([^ ]*)'

-- Lua can't pass more than some thousand arguments at once; an even number keeps pairs together.
local function in_parts(command, key, arguments, number)
  for first = 1, number, 1000 do
    redis.call(command, key, unpack(arguments, first, min(first + 999, number)))
  end
end

-- The starts of a window's earliest and latest trip, from what WINDOW captures. One without trips,
-- which a backfill can leave, has none that means anything.
local function starts_of(count, start, last)
  if tonumber(count) == 0 then
    return false, false
  end
  return start, last ~= '' and last or start
end

-- The state of the id at hand; one table for all, as each would be garbage. Amounts are in whole units
-- and millionths (`_micro`), carried.
--   start, last: starts of the earliest and of the latest trip
--   older, older_last: the same of the windows that the ledger no longer holds
--   knows_last: whether it told the latest start, which earlier releases left out
--   oldest: no window in the ledger starts before this; newest: the last one starts here
--   renewed: when it was last given its whole time to live, in epoch ms; 0 if it must be with any news
local at_hand = {}

-- Make it that of an id without windows.
local function nothing()
  at_hand.count, at_hand.oldest, at_hand.newest = 0, math.huge, -math.huge
  at_hand.duration, at_hand.duration_micro = 0, 0
  at_hand.distance, at_hand.distance_micro = 0, 0
  at_hand.revenue, at_hand.revenue_micro = 0, 0
  at_hand.start, at_hand.older, at_hand.renewed = false, false, 0
  at_hand.last, at_hand.older_last, at_hand.knows_last = false, false, true
  return at_hand
end

-- Make it that of a text in a ledger; `write` makes the text.
local function thawed(text)
  local count, d, d_micro, k, k_micro, r, r_micro, oldest, newest, start, older, renewed, last,
    older_last = match(text, STATE)
  at_hand.count, at_hand.oldest, at_hand.newest = count + 0, oldest + 0, newest + 0
  at_hand.duration, at_hand.duration_micro = d + 0, d_micro + 0
  at_hand.distance, at_hand.distance_micro = k + 0, k_micro + 0
  at_hand.revenue, at_hand.revenue_micro = r + 0, r_micro + 0
  at_hand.start, at_hand.older = start ~= '-' and start, older ~= '-' and older
  at_hand.renewed = tonumber(renewed) or 0
  at_hand.knows_last = last ~= ''
  if not at_hand.knows_last then
    last, older_last = start, older
  end
  at_hand.last, at_hand.older_last = last ~= '-' and last, older_last ~= '-' and older_last
  return at_hand
end

-- Look through the whole ledger, which is rarely needed: drop what is too old and, where `anew` says
-- so, find the starts. Dropping takes no trip away, so it changes none of them.
local function survey(ledger, state, anew)
  local dropped = {}
  local fields = redis.call('HGETALL', ledger)
  local earliest, latest = false, false
  state.oldest = math.huge
  for i = 1, #fields, 2 do
    local window_start = tonumber(fields[i])
    if window_start then
      local _, count, _, _, _, first, final = match(fields[i + 1], WINDOW)
      local start, last = starts_of(count, first, final)
      if window_start < state.newest - RETENTION then
        dropped[#dropped + 1] = fields[i]
        state.older = earlier(state.older, start)
        state.older_last = later(state.older_last, last)
      else
        state.oldest = min(state.oldest, window_start)
        earliest, latest = earlier(earliest, start), later(latest, last)
      end
    end
  end
  if anew then
    state.start, state.last = earlier(earliest, state.older), later(latest, state.older_last)
    state.knows_last = true
  end
  in_parts('HDEL', ledger, dropped, #dropped)
end

-- The field that tells the start, where it differs from what is told already.
local function start_field(start, told)
  if start ~= told then
    return 'start_time', start or ''
  end
end

-- Write an id's state and the first `filled` of a list that gives fields of its ledger and has room
-- for two more. `told` is the start as the totals have it, nil where there are none.
local function write(id, ledger, state, fields, filled, told)
  local count = state.count
  fields[filled + 1] = 'totals'
  fields[filled + 2] = format('%d %d %d %d %d %d %d %d %d %s %s %d %s %s',
    count, state.duration, state.duration_micro, state.distance, state.distance_micro,
    state.revenue, state.revenue_micro, state.oldest, state.newest,
    state.start or '-', state.older or '-', state.renewed, state.last or '-',
    state.older_last or '-')
  in_parts('HSET', ledger, fields, filled + 2)
  redis.call('HSET', TOTALS .. id,
    'trip_count', format('%d', count),
    'avg_duration', mean(state.duration, state.duration_micro, count),
    'total_duration', units(state.duration, state.duration_micro),
    'total_distance', units(state.distance, state.distance_micro),
    'total_revenue', units(state.revenue, state.revenue_micro),
    'last_start_time', state.last or '',
    start_field(state.start, told))
end

-- Write what a lasting store holds of an id. Returns how long it is to stay, in s.
local function restore(id, ledger, history)
  local state, fields = nothing(), {}
  local count, duration, distance, revenue, start, left, oldest, newest, recent, last, recent_last =
    match(history, HISTORY)
  state.count = tonumber(count)
  state.duration, state.duration_micro = carried(amount(duration))
  state.distance, state.distance_micro = carried(amount(distance))
  state.revenue, state.revenue_micro = carried(amount(revenue))
  state.oldest, state.newest = tonumber(oldest), tonumber(newest)
  state.start = start ~= '-' and start
  state.older = start ~= recent and state.start -- it began before these windows
  state.last = last ~= '-' and last
  state.older_last = last ~= recent_last and state.last
  for window_start, window in string.gmatch(history, '\n([^ ]+) ([^\n]+)') do
    fields[#fields + 1] = window_start
    fields[#fields + 1] = window
  end
  write(id, ledger, state, fields, #fields, nil)
  return tonumber(left)
end
