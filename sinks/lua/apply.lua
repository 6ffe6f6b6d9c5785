-- Reconcile windows of some ids. Redis runs a script alone, so that windows and totals of an id, and
-- whether it is there at all, are read and written as one step.
--
-- KEYS: meta, index, seen. The hashes of the ids are not among them: their names are two prefixes
-- and the id, on one server (a cluster would want each id's keys in one slot).
-- ARGV after those of lease.lua: entity, prefix of totals, prefix of ledgers, expiry in s, retention
-- of the ledger in ms, '1' if a lasting store can be asked for histories, and a JSON list of three
-- texts an id: id, windows, history.
--   windows: a line each, `window_start generation trip_count duration distance revenue start pane`,
--            in order of window start; amounts in millionths, times in epoch ms, start in ISO 8601;
--            empty where an id is only filled
--   history: empty, or what a lasting store holds at this moment, which replaces what is here: `-`
--            for nothing, else a line of totals, `trip_count duration distance revenue start left
--            oldest newest recent`, and its windows in lines as above. `left` is in seconds; the
--            last three are about those windows: starts of the first and the last, and the start of
--            their earliest trip; a start of no trip is `-`
-- Returns counts of windows {applied, unchanged, refused} and the ids that need a history.

local META, INDEX, SEEN = KEYS[1], KEYS[2], KEYS[3]
local ENTITY, TOTALS, LEDGER = ARGV[5], ARGV[6], ARGV[7]
local EXPIRY, RETENTION, CAN_FILL = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] == '1'
local MICRO = 1000000
-- generation, trip_count, duration, distance, revenue, start; a space and the pane follow
local WINDOW = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) '
local TOTALS_LINE = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)'

-- A Lua number is a double, exact up to 2^53, and sums go beyond. So an amount is a pair, {whole
-- units, millionths}, whose halves are added apart; `carried` brings it into one form.
local function add(amount, text, sign)
  if string.byte(text) == 45 then -- a minus
    return add(amount, string.sub(text, 2), -sign)
  end
  amount[1] = amount[1] + sign * (tonumber(string.sub(text, 1, -7)) or 0)
  amount[2] = amount[2] + sign * tonumber(string.sub(text, -6))
end

local function carried(amount)
  local carry = math.floor(amount[2] / MICRO)
  return {amount[1] + carry, amount[2] - carry * MICRO}
end

-- Units as decimal text, exact, without trailing zeros; the amount is carried.
local function units(amount)
  local sign, whole, micro = '', amount[1], amount[2]
  if whole < 0 then
    sign = '-'
    whole = micro > 0 and -whole - 1 or -whole
    micro = micro > 0 and MICRO - micro or 0
  end
  local text = string.format('%s%.0f', sign, whole)
  if micro > 0 then
    text = text .. '.' .. string.gsub(string.format('%06.0f', micro), '0+$', '')
  end
  return text
end

-- The shortest text of a mean that reads back as the same double: 15 digits, or 17.
local function mean(amount, count)
  if count == 0 then
    return '0'
  end
  local value = (amount[1] * MICRO + amount[2]) / (count * MICRO)
  local text = string.format('%.15g', value)
  return tonumber(text) == value and text or string.format('%.17g', value)
end

-- The earlier of two ISO 8601 times in UTC, of which one may be missing. Milliseconds are shown only
-- where there are any, so the Z goes before texts are compared.
local function earlier(one, other)
  if not one or not other then
    return one or other
  end
  return string.sub(one, 1, -2) < string.sub(other, 1, -2) and one or other
end

-- Lua can't pass more than some thousand arguments at once; an even number keeps pairs together.
local function in_parts(command, key, arguments)
  for first = 1, #arguments, 1000 do
    redis.call(command, key, unpack(arguments, first, math.min(first + 999, #arguments)))
  end
end

-- A window without trips, which a backfill can leave, has no start that means anything.
local function start_of(count, start)
  return tonumber(count) > 0 and start
end

-- What is known of an id that has no windows:
--   older: start of the earliest trip whose window the ledger no longer holds
--   oldest: no window in the ledger starts before this; newest: the last one starts here
local function nothing()
  return {
    count = 0, duration = {0, 0}, distance = {0, 0}, revenue = {0, 0},
    start = false, older = false, oldest = math.huge, newest = -math.huge,
  }
end

-- The same as text, in the field `totals` of the ledger, and back.
local function frozen(s)
  return string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f %s %s',
    s.count, s.duration[1], s.duration[2], s.distance[1], s.distance[2], s.revenue[1], s.revenue[2],
    s.oldest, s.newest, s.start or '-', s.older or '-')
end

local function thawed(text)
  local parts = {}
  for part in string.gmatch(text, '%S+') do
    parts[#parts + 1] = tonumber(part) or part
  end
  local count, d1, d2, k1, k2, r1, r2, oldest, newest, start, older = unpack(parts)
  return {
    count = count, duration = {d1, d2}, distance = {k1, k2}, revenue = {r1, r2},
    oldest = oldest, newest = newest,
    start = start ~= '-' and start, older = older ~= '-' and older,
  }
end

-- Look through the whole ledger, which is rarely needed: drop what is too old, find the start anew.
local function survey(ledger, state)
  local dropped = {}
  local fields = redis.call('HGETALL', ledger)
  state.oldest, state.start = math.huge, false
  for i = 1, #fields, 2 do
    local window_start = tonumber(fields[i])
    if window_start then
      local _, count, _, _, _, start = string.match(fields[i + 1], WINDOW)
      start = start_of(count, start)
      if window_start < state.newest - RETENTION then
        dropped[#dropped + 1] = fields[i]
        state.older = earlier(state.older, start)
      else
        state.oldest = math.min(state.oldest, window_start)
        state.start = earlier(state.start, start)
      end
    end
  end
  state.start = earlier(state.start, state.older)
  in_parts('HDEL', ledger, dropped)
end

-- What a lasting store holds of an id: its state, how long it is to stay, the fields of its ledger.
local function filled(history)
  local state, fields = nothing(), {}
  local count, duration, distance, revenue, start, left, oldest, newest, recent =
    string.match(history, TOTALS_LINE)
  state.count = tonumber(count)
  add(state.duration, duration, 1)
  add(state.distance, distance, 1)
  add(state.revenue, revenue, 1)
  state.oldest, state.newest = tonumber(oldest), tonumber(newest)
  state.start = start ~= '-' and start
  state.older = start ~= recent and state.start -- it began before these windows
  for window_start, window in string.gmatch(history, '\n(%S+) ([^\n]+)') do
    fields[#fields + 1] = window_start
    fields[#fields + 1] = window
  end
  return state, tonumber(left), fields
end

-- Returns what is known of an id; where that comes from its history, also how long it is to stay and
-- the fields of its ledger, not yet written; nil where a history must be asked for. One hash without
-- the other counts as absent: whoever took the one (eviction, a stray DEL) took half of the truth.
local function recall(id, ledger, windows, history)
  if history == '' then
    local held = redis.call('HGET', ledger, 'totals')
    local state = held and redis.call('EXISTS', TOTALS .. id) == 1 and thawed(held)
    local oldest = tonumber(string.match(windows, '^%S+'))
    -- Where there is a lasting store, a window from before the ledger is in its totals.
    if state and not (CAN_FILL and oldest < state.newest - RETENTION) then
      return state
    end
    if CAN_FILL then
      return nil
    end
  end
  redis.call('DEL', ledger, TOTALS .. id)
  if history == '' or history == '-' then
    return nothing()
  end
  return filled(history)
end

-- Move the totals from a window's old text, if there is one, to its new one. Returns whether it did,
-- which needs a version not below the old one and any difference at all, and whether that took the
-- earliest trip away, as a new generation can.
local function move(state, new, old)
  if new == old then
    return false, false
  end
  local generation, count, duration, distance, revenue, start = string.match(new, WINDOW)
  local old_start
  if old then
    local o_generation, o_count, o_duration, o_distance, o_revenue, o_start =
      string.match(old, WINDOW)
    local ahead = tonumber(generation) - tonumber(o_generation)
    if ahead < 0 or (ahead == 0 and tonumber(count) < tonumber(o_count)) then
      return false, false
    end
    state.count = state.count - tonumber(o_count)
    add(state.duration, o_duration, -1)
    add(state.distance, o_distance, -1)
    add(state.revenue, o_revenue, -1)
    old_start = start_of(o_count, o_start)
  end
  start = start_of(count, start)
  state.count = state.count + tonumber(count)
  add(state.duration, duration, 1)
  add(state.distance, distance, 1)
  add(state.revenue, revenue, 1)
  state.start = earlier(state.start, start)
  return true, old_start and old_start == state.start and old_start ~= start
end

local counts = {applied = 0, unchanged = 0, refused = 0}

-- Reconcile windows with the state of their id. Returns the fields of the ledger to be written, and
-- whether the start must be found anew.
local function reconcile(ledger, state, windows, is_filled)
  if windows == '' then
    return {}, false
  end
  local asked, new, fields, withdrawn = {}, {}, {}, false
  for window_start, window in string.gmatch(windows, '(%S+) ([^\n]+)') do
    asked[#asked + 1] = window_start
    new[#new + 1] = window
  end
  local held = redis.call('HMGET', ledger, unpack(asked))
  for i, window_start in ipairs(asked) do
    local at = tonumber(window_start)
    if at < state.newest - RETENTION then
      local count = is_filled and 'unchanged' or 'refused'
      counts[count] = counts[count] + 1
    else
      local moved, gone = move(state, new[i], held[i])
      if moved then
        counts.applied = counts.applied + 1
        withdrawn = withdrawn or gone
        state.oldest, state.newest = math.min(state.oldest, at), math.max(state.newest, at)
        fields[#fields + 1] = window_start
        fields[#fields + 1] = new[i]
      else
        counts.unchanged = counts.unchanged + 1
      end
    end
  end
  return fields, withdrawn
end

local function write(id, ledger, state, fields, withdrawn, expiry)
  -- A quarter more than the retention may pile up, so that few calls look through the ledger.
  if withdrawn or state.oldest < state.newest - RETENTION * 1.25 then
    in_parts('HSET', ledger, fields)
    fields = {}
    survey(ledger, state)
  end
  state.duration = carried(state.duration)
  state.distance = carried(state.distance)
  state.revenue = carried(state.revenue)
  fields[#fields + 1] = 'totals'
  fields[#fields + 1] = frozen(state)
  in_parts('HSET', ledger, fields)
  redis.call('HSET', TOTALS .. id,
    'trip_count', string.format('%.0f', state.count),
    'avg_duration', mean(state.duration, state.count),
    'total_duration', units(state.duration),
    'total_distance', units(state.distance),
    'total_revenue', units(state.revenue),
    'start_time', state.start or '')
  redis.call('EXPIRE', ledger, expiry)
  redis.call('EXPIRE', TOTALS .. id, expiry)
end

-- Forget some ids whose hashes have expired by themselves: a few a call keep up with any number.
local function forget(now)
  local expired = redis.call('ZRANGEBYSCORE', SEEN, '-inf', '(' .. (now - EXPIRY), 'LIMIT', 0, 1000)
  if #expired > 0 then
    redis.call('ZREM', INDEX, unpack(expired))
    redis.call('ZREM', SEEN, unpack(expired))
  end
end

local refusal = refused_or_unsigned(META)
if refusal then
  return refusal
end
local now = math.floor(now_ms() / 1000)
forget(now)

local absent, index, seen = {}, {}, {}
local texts = cjson.decode(ARGV[11])
for i = 1, #texts, 3 do
  local id, windows, history = texts[i], texts[i + 1], texts[i + 2]
  local ledger = LEDGER .. id
  local state, left, filling = recall(id, ledger, windows, history)
  if not state then
    absent[#absent + 1] = id
  else
    if left and windows ~= '' then
      in_parts('HSET', ledger, filling)
      filling = {}
    end
    local fields, withdrawn = reconcile(ledger, state, windows, left ~= nil)
    local expiry = #fields > 0 and EXPIRY or left
    if expiry then
      write(id, ledger, state, windows == '' and filling or fields, withdrawn, expiry)
      index[#index + 1], index[#index + 2] = 0, id
      seen[#seen + 1], seen[#seen + 2] = now - EXPIRY + expiry, id
    end
  end
end
in_parts('ZADD', INDEX, index)
in_parts('ZADD', SEEN, seen)
if counts.refused > 0 then
  redis.call('HINCRBY', META, 'refused:' .. ENTITY, counts.refused)
end
return {counts.applied, counts.unchanged, counts.refused, absent}
