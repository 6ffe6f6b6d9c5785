-- Reconcile windows of some ids. Redis runs a script alone, so that windows and totals of an id, and
-- whether it is there at all, are read and written as one step.
--
-- KEYS: meta, index, seen, live. The hashes of the ids are not among them: their names are two
-- prefixes and the id, on one server (a cluster would want each id's keys in one slot).
-- ARGV after those of ledger.lua: entity, '1' if a lasting store can be asked for histories, entries
-- that the stream of changes keeps, two msgpack lists, windows and histories, the windows as the
-- stream has them, a line of JSON each, all but the last with a comma, and the life of this store
-- (see initialize.lua) as the writer knew it before the lasting store had the windows.
--   windows: a list a column, of which rows of one id stand together, in order of window start: id,
--            start in epoch ms as text, text for the ledger, `generation trip_count duration distance
--            revenue start pane last`, generation, trip_count, duration, distance, revenue, earliest
--            and latest trip in ISO 8601, whether the id begins with this window, so that the
--            lasting store has no history of it; amounts in millionths, as numbers where those are
--            exact, else as text; `start` and `last` are those of the same trips
--   histories: an id and what a lasting store holds of it at this moment, which replaces what is
--            here, and so on: `-` for nothing, else a line of totals, `trip_count duration distance
--            revenue start left oldest newest recent last recent_last`, and lines of windows,
--            `window_start` and the text for the ledger. `left` is in seconds; `oldest` and `newest`
--            are starts of those windows, `recent` and `recent_last` those of their earliest and
--            latest trip; a start of no trip is `-`
-- Returns counts of windows {applied, unchanged, refused} and the ids that need a history.

local META, INDEX, SEEN, LIVE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ENTITY, CAN_FILL, ENTRIES = ARGV[9], ARGV[10] == '1', ARGV[11]

local refusal = refused_or_unsigned(META)
if refusal then
  return refusal
end

local NOW_MS = now_ms()
local NOW = floor(NOW_MS / 1000)
local EXPIRE_AT, SEEN_AT = format('%d', NOW_MS + EXPIRY * 1000), format('%d', NOW)
-- An id whose time to live was set less than this ago keeps it: it goes by so much too early at most,
-- a minute of a day, and most windows of a busy id cost half as many commands.
local RENEWAL = EXPIRY * 1000 / 1440
local histories = cmsgpack.unpack(ARGV[13])
local FILLING = #histories > 0
local MAY_ASK = CAN_FILL and not FILLING
-- That an id is absent as it begins means that nobody has brought it, and not that it was lost since:
-- unless everything was, or a backfill is at work, which brings what the flow will not bring again.
local life, backfill_until = unpack(redis.call('HMGET', META, 'life', 'backfill_until'))
local MAY_BEGIN = life == ARGV[15] and tonumber(backfill_until or 0) < NOW_MS

local ids, starts, texts, generations, counts, durations, distances, revenues, firsts, lasts,
  begins = unpack(cmsgpack.unpack(ARGV[12]))

local applied, unchanged, refused_rows = 0, 0, 0
local index, seen, absent = {}, {}, {}
local is_news, news = {}, 0 -- which rows the stream of changes tells of, and how many
local has_all_indexed = redis.call('ZCARD', INDEX) == redis.call('ZCARD', SEEN)

-- Remember an id for the sorted sets. They have the same members; where one has lost some, whatever
-- comes along is put back.
local function noted(id, seen_at, is_new)
  if is_new or not has_all_indexed then
    index[#index + 1], index[#index + 2] = '0', id
  end
  seen[#seen + 1], seen[#seen + 2] = seen_at, id
end

local function fill(id, history)
  local ledger = LEDGER .. id
  redis.call('DEL', ledger, TOTALS .. id)
  if history == '-' then
    return
  end
  local left = restore(id, ledger, history)
  local at = format('%d', NOW_MS + left * 1000)
  redis.call('PEXPIREAT', ledger, at)
  redis.call('PEXPIREAT', TOTALS .. id, at)
  noted(id, format('%d', NOW - EXPIRY + left), true)
end

-- Move the totals from a window's old text, if there is one, to row `i`. Returns whether it did,
-- which needs a version not below the old one and any difference at all, and whether that took the
-- earliest or the latest trip away, as a new generation can.
local function move(state, i, old)
  local count, old_start, old_last = counts[i], false, false
  local duration, duration_micro = amount(durations[i])
  local distance, distance_micro = amount(distances[i])
  local revenue, revenue_micro = amount(revenues[i])
  if old then
    local generation, old_count, a, b, c, first, latest = match(old, WINDOW)
    local ahead = generations[i] - generation
    old_count = old_count + 0
    if ahead < 0 or (ahead == 0 and count < old_count) then
      return false, false
    end
    state.count = state.count - old_count
    local whole, micro = amount(a)
    duration, duration_micro = duration - whole, duration_micro - micro
    whole, micro = amount(b)
    distance, distance_micro = distance - whole, distance_micro - micro
    whole, micro = amount(c)
    revenue, revenue_micro = revenue - whole, revenue_micro - micro
    old_start, old_last = starts_of(old_count, first, latest)
  end
  state.count = state.count + count
  state.duration, state.duration_micro =
    carried(state.duration + duration, state.duration_micro + duration_micro)
  state.distance, state.distance_micro =
    carried(state.distance + distance, state.distance_micro + distance_micro)
  state.revenue, state.revenue_micro =
    carried(state.revenue + revenue, state.revenue_micro + revenue_micro)
  local start, last = starts_of(count, firsts[i], lasts[i])
  state.start, state.last = earlier(state.start, start), later(state.last, last)
  return true, (old_start and old_start == state.start and old_start ~= start)
    or (old_last and old_last == state.last and old_last ~= last)
end

local fields = {} -- of the ledger of the id at hand; one table for all, as each would be garbage

-- Reconcile rows with the state of their id and the texts that are held of them, which follow that
-- of the state, and list the fields of the ledger to be written. Returns their number, how many rows
-- were refused, and whether the starts must be found anew.
local function reconcile(state, held, first, last)
  local filled, refused, withdrawn = 0, 0, false
  for i = first, last do
    local at, old = starts[i] + 0, held[i - first + 2]
    if at < state.newest - RETENTION then
      refused = refused + 1
    elseif texts[i] ~= old then
      local moved, gone = move(state, i, old)
      if moved then
        withdrawn = withdrawn or gone
        state.oldest, state.newest = min(state.oldest, at), max(state.newest, at)
        fields[filled + 1], fields[filled + 2] = starts[i], texts[i]
        filled = filled + 2
        is_news[i], news = true, news + 1
      end
    elseif FILLING then -- it came with the history just now
      is_news[i], news = true, news + 1
    end
  end
  return filled, refused, withdrawn
end

-- Write what has changed of an id, to stay for as long as anything does (see RENEWAL).
local function renew(id, ledger, state, filled, withdrawn, told)
  -- A quarter more than the retention may pile up, so that few calls look through the ledger.
  local anew = withdrawn or not state.knows_last
  if anew or state.oldest < state.newest - RETENTION * 1.25 then
    in_parts('HSET', ledger, fields, filled)
    filled = 0
    survey(ledger, state, anew)
  end
  local is_due = told == nil or math.abs(NOW_MS - state.renewed) >= RENEWAL
  if is_due then
    state.renewed = NOW_MS
  end
  write(id, ledger, state, fields, filled, told)
  if is_due then
    redis.call('PEXPIREAT', ledger, EXPIRE_AT)
    redis.call('PEXPIREAT', TOTALS .. id, EXPIRE_AT)
  end
  if is_due or not has_all_indexed then
    noted(id, SEEN_AT, told == nil)
  end
end

-- Returns the state of an id, the texts that are held of some rows, and the start as the totals tell
-- it; nil where a history must be asked for. One hash without the other counts as absent: whoever
-- took the one (eviction, a stray DEL) took half of the truth.
local function recall(id, ledger, first, last)
  local held = redis.call('HMGET', ledger, 'totals', unpack(starts, first, last))
  local state = held[1] and redis.call('EXISTS', TOTALS .. id) == 1 and thawed(held[1])
  -- Where there is a lasting store, a window from before the ledger is in its totals, and so is the
  -- latest start.
  if state and not (MAY_ASK
    and (starts[first] + 0 < state.newest - RETENTION or not state.knows_last)) then
    return state, held, state.start
  elseif MAY_ASK and (state or not (MAY_BEGIN and begins[first])) then
    return nil
  end
  redis.call('DEL', ledger, TOTALS .. id)
  return nothing(), {}, nil
end

-- Reconcile the rows of an id.
local function take(id, first, last)
  local ledger, rows = LEDGER .. id, last - first + 1
  local state, held, told = recall(id, ledger, first, last)
  if not state then
    absent[#absent + 1] = id
    return
  end
  local told_of = news
  local filled, refused, withdrawn = reconcile(state, held, first, last)
  if withdrawn and MAY_ASK then -- the trip that is now the first or last may be from before the ledger
    for i = first, last do
      is_news[i] = nil
    end
    news = told_of
    absent[#absent + 1] = id
    return
  end
  if filled > 0 then
    renew(id, ledger, state, filled, withdrawn, told)
  end
  if FILLING then
    refused = 0 -- a window from before the ledger is in the totals that it was filled with
  end
  applied, refused_rows = applied + filled / 2, refused_rows + refused
  unchanged = unchanged + rows - filled / 2 - refused
end

-- Tell of the windows that are news in the stream of changes, as one entry.
local function tell(lines)
  local windows, i = {}, 0
  if news == #ids then
    windows[1] = lines
  else
    for line in string.gmatch(lines .. ',\n', '([^\n]+),\n') do
      i = i + 1
      windows[#windows + 1] = is_news[i] and line or nil
    end
  end
  redis.call('XADD', LIVE, 'MAXLEN', '~', ENTRIES, '*',
    'w', '[' .. table.concat(windows, ',') .. ']')
end

-- Forget some ids whose hashes have expired by themselves: a few a call keep up with any number.
local function forget()
  local gone = redis.call('ZRANGEBYSCORE', SEEN, '-inf', '(' .. (NOW - EXPIRY), 'LIMIT', 0, 1000)
  if #gone > 0 then
    redis.call('ZREM', INDEX, unpack(gone))
    redis.call('ZREM', SEEN, unpack(gone))
  end
end

forget()
for i = 1, #histories, 2 do
  fill(histories[i], histories[i + 1])
end
local first, rows = 1, #ids
while first <= rows do
  local id, last = ids[first], first
  while ids[last + 1] == id do
    last = last + 1
  end
  take(id, first, last)
  first = last + 1
end
in_parts('ZADD', INDEX, index, #index)
in_parts('ZADD', SEEN, seen, #seen)
if news > 0 then
  tell(ARGV[14])
end
if refused_rows > 0 then
  redis.call('HINCRBY', META, 'refused:' .. ENTITY, refused_rows)
end
return {applied, unchanged, refused_rows, absent}
