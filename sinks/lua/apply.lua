-- Reconcile windows of some ids. Redis runs a script atomically, so windows and totals of an id,
-- and whether it exists at all, are read and written in one step.
--
-- KEYS: meta, index, seen, live (the change stream). The hashes of the ids are not among them:
-- their names are two prefixes and the id, and all are on one server (a Redis Cluster would need
-- the keys of an id in one slot).
-- ARGV after those of ledger.lua:
--   9   entity
--   10  number of entries that the change stream keeps
--   11  windows, in msgpack: a list a column. Rows of one id are adjacent, in order of window
--       start. Columns: id, window start in epoch ms as text, value for the ledger, generation,
--       trip_count, duration, distance, revenue, earliest and latest start in ISO 8601. Amounts are
--       in millionths, as text where a double would not be exact
--   12  the windows as the change stream has them: lines of JSON, all but the last with a comma
--   13  the sequence number that the writer knows: an instance id, or '' for none
--   14  and a number (see SequenceNumber in sinks/store.py)
-- A value for the ledger is `generation trip_count duration distance revenue start pane last`.
-- Returns counts of windows {applied, unchanged, refused}, the first id whose totals are too large,
-- with the total, or nothing, and the new sequence number. Such an id is left as it is. The reply is
-- an error `BEHIND` where Redis lacks what it had at the known number.

local META, INDEX, SEEN, LIVE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ENTITY, ENTRIES = ARGV[9], ARGV[10]

local err = check_initialized(META)
if err then
  return err
end

local NOW_MS = now_ms()
local NOW = floor(NOW_MS / 1000)
local EXPIRE_AT, SEEN_AT = format('%d', NOW_MS + EXPIRY * 1000), format('%d', NOW)
-- An id whose time to live was set less than this long ago keeps it: it expires that much too early
-- at most (a minute of a day), and most windows of a busy id cost half as many commands.
local RENEWAL = EXPIRY * 1000 / 1440
local NUMBER = 'number:' .. ENTITY
local instance_id, number = unpack(redis.call('HMGET', META, 'life', NUMBER))
local KNOWN_ID, KNOWN_NUMBER = ARGV[13], tonumber(ARGV[14])
if KNOWN_ID ~= '' and (KNOWN_ID ~= instance_id or tonumber(number or 0) < KNOWN_NUMBER) then
  return redis.error_reply('BEHIND')
end

local ids, starts, texts, generations, counts, durations, distances, revenues, firsts, lasts =
  unpack(cmsgpack.unpack(ARGV[11]))

local applied, unchanged, refused = 0, 0, 0
local index, seen, too_large = {}, {}, {}
local is_change, changes = {}, 0 -- which rows go to the change stream, and their number
local has_all_indexed = redis.call('ZCARD', INDEX) == redis.call('ZCARD', SEEN)

-- Collect an id for the two sorted sets. They have the same members; where one has lost some, every
-- id of the call is added again.
local function index_id(id, seen_at, is_missing)
  if is_missing or not has_all_indexed then
    index[#index + 1], index[#index + 2] = '0', id
  end
  seen[#seen + 1], seen[#seen + 2] = seen_at, id
end

-- Move the totals by the difference between row `i` and the stored text of its window, if there is
-- one.
-- Returns whether the version was not below the stored one, and whether the starts must be found
-- again: a new generation can remove the earliest or the latest trip.
local function move_totals(state, i, stored)
  local count, stored_start, stored_last = counts[i], false, false
  local duration, duration_micro = parse_amount(durations[i])
  local distance, distance_micro = parse_amount(distances[i])
  local revenue, revenue_micro = parse_amount(revenues[i])
  if stored then
    local generation, stored_count, a, b, c, first, latest = match(stored, WINDOW)
    local ahead = generations[i] - generation
    stored_count = stored_count + 0
    if ahead < 0 or (ahead == 0 and count < stored_count) then
      return false, false
    end
    state.count = state.count - stored_count
    local whole, micro = parse_amount(a)
    duration, duration_micro = duration - whole, duration_micro - micro
    whole, micro = parse_amount(b)
    distance, distance_micro = distance - whole, distance_micro - micro
    whole, micro = parse_amount(c)
    revenue, revenue_micro = revenue - whole, revenue_micro - micro
    stored_start, stored_last = starts_of(stored_count, first, latest)
  end
  state.count = state.count + count
  state.duration, state.duration_micro =
    normalize(state.duration + duration, state.duration_micro + duration_micro)
  state.distance, state.distance_micro =
    normalize(state.distance + distance, state.distance_micro + distance_micro)
  state.revenue, state.revenue_micro =
    normalize(state.revenue + revenue, state.revenue_micro + revenue_micro)
  local start, last = starts_of(count, firsts[i], lasts[i])
  state.start, state.last = earlier(state.start, start), later(state.last, last)
  return true, (stored_start and stored_start == state.start and stored_start ~= start)
    or (stored_last and stored_last == state.last and stored_last ~= last)
end

local fields = {} -- fields and values for the ledger of the current id; reused as `current` is

-- Reconcile rows with the state of their id, and collect the fields of the ledger to write.
-- `stored` has the text of the state, then those of the windows of the rows. Returns the number of
-- items of `fields`, of refused rows, and whether the starts must be found again.
local function reconcile_rows(state, stored, first, last)
  local elements, too_old, find_starts = 0, 0, false
  for i = first, last do
    local at, stored_text = starts[i] + 0, stored[i - first + 2]
    if at < state.newest - RETENTION then
      too_old = too_old + 1
    elseif texts[i] ~= stored_text then
      local moved, removed_start = move_totals(state, i, stored_text)
      if moved then
        find_starts = find_starts or removed_start
        state.oldest, state.newest = min(state.oldest, at), max(state.newest, at)
        fields[elements + 1], fields[elements + 2] = starts[i], texts[i]
        elements = elements + 2
        is_change[i], changes = true, changes + 1
      end
    end
  end
  return elements, too_old, find_starts
end

-- Write the changes of an id, and set its time to live where it is due (see RENEWAL).
local function write_changes(id, ledger, state, elements, find_starts, stored_start)
  -- The ledger may exceed the retention by a quarter, so that few calls need to scan it.
  find_starts = find_starts or not state.has_last
  if find_starts or state.oldest < state.newest - RETENTION * 1.25 then
    call_in_chunks('HSET', ledger, fields, elements)
    elements = 0
    scan_ledger(ledger, state, find_starts)
  end
  local is_due = stored_start == nil or math.abs(NOW_MS - state.renewed_at) >= RENEWAL
  if is_due then
    state.renewed_at = NOW_MS
  end
  write_id(id, ledger, state, fields, elements, stored_start)
  if is_due then
    redis.call('PEXPIREAT', ledger, EXPIRE_AT)
    redis.call('PEXPIREAT', TOTALS .. id, EXPIRE_AT)
  end
  if is_due or not has_all_indexed then
    index_id(id, SEEN_AT, stored_start == nil)
  end
end

-- Returns the state of an id, the stored texts of some rows, and the start in its totals. An id with
-- only one of its hashes starts anew: the other one was evicted or deleted.
local function read_id(id, ledger, first, last)
  local stored = redis.call('HMGET', ledger, 'totals', unpack(starts, first, last))
  if stored[1] and redis.call('EXISTS', TOTALS .. id) == 1 then
    local state = parse_state(stored[1])
    return state, stored, state.start
  end
  redis.call('DEL', ledger, TOTALS .. id)
  return empty_state(), {}, nil
end

-- Reconcile the rows `first` to `last`, which are those of one id.
local function apply_id(id, first, last)
  local ledger, rows = LEDGER .. id, last - first + 1
  local state, stored, stored_start = read_id(id, ledger, first, last)
  local changes_before = changes
  local elements, too_old, find_starts = reconcile_rows(state, stored, first, last)
  local inexact = inexact_total(state)
  if inexact then
    for i = first, last do
      is_change[i] = nil
    end
    changes = changes_before
    too_large = #too_large > 0 and too_large or {id, inexact}
    return
  end
  if elements > 0 then
    write_changes(id, ledger, state, elements, find_starts, stored_start)
  end
  applied, refused = applied + elements / 2, refused + too_old
  unchanged = unchanged + rows - elements / 2 - too_old
end

-- Append the changed windows to the change stream, as one entry.
local function append_changes(lines)
  local windows, i = {}, 0
  if changes == #ids then
    windows[1] = lines
  else
    for line in string.gmatch(lines .. ',\n', '([^\n]+),\n') do
      i = i + 1
      windows[#windows + 1] = is_change[i] and line or nil
    end
  end
  redis.call('XADD', LIVE, 'MAXLEN', '~', ENTRIES, '*',
    'w', '[' .. table.concat(windows, ',') .. ']')
end

-- Remove expired ids from the sorted sets: up to 1000 a call, which keeps up with any number of
-- ids.
local function remove_expired()
  local expired = redis.call('ZRANGEBYSCORE', SEEN, '-inf', '(' .. (NOW - EXPIRY), 'LIMIT', 0, 1000)
  if #expired > 0 then
    redis.call('ZREM', INDEX, unpack(expired))
    redis.call('ZREM', SEEN, unpack(expired))
  end
end

remove_expired()
local first, rows = 1, #ids
while first <= rows do
  local id, last = ids[first], first
  while ids[last + 1] == id do
    last = last + 1
  end
  apply_id(id, first, last)
  first = last + 1
end
call_in_chunks('ZADD', INDEX, index, #index)
call_in_chunks('ZADD', SEEN, seen, #seen)
if changes > 0 then
  append_changes(ARGV[12])
end
if refused > 0 then
  redis.call('HINCRBY', META, 'refused:' .. ENTITY, refused)
end
number = redis.call('HINCRBY', META, NUMBER, 1)
return {applied, unchanged, refused, too_large, {instance_id, number}}
