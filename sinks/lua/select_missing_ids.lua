-- Returns the ids that lack a hash or an index entry. It writes nothing, so it needs no lease.
-- KEYS: index, seen. ARGV: prefix of totals, prefix of ledgers, a JSON list of ids.
local missing = {}
for _, id in ipairs(cjson.decode(ARGV[3])) do
  -- Totals of release 0.1 lack this field, so ids of that release count as missing.
  if redis.call('HEXISTS', ARGV[1] .. id, 'last_start_time') == 0
    or redis.call('EXISTS', ARGV[2] .. id) == 0
    or not redis.call('ZSCORE', KEYS[1], id)
    or not redis.call('ZSCORE', KEYS[2], id) then
    missing[#missing + 1] = id
  end
end
return missing
