-- Which ids are not here whole. It writes nothing, so it needs no lease.
-- KEYS: index, seen. ARGV: prefix of totals, prefix of ledgers, a JSON list of ids.
local absent = {}
for _, id in ipairs(cjson.decode(ARGV[3])) do
  -- The last field that a release added: totals of an earlier one lack it.
  if redis.call('HEXISTS', ARGV[1] .. id, 'last_start_time') == 0
    or redis.call('EXISTS', ARGV[2] .. id) == 0
    or not redis.call('ZSCORE', KEYS[1], id)
    or not redis.call('ZSCORE', KEYS[2], id) then
    absent[#absent + 1] = id
  end
end
return absent
