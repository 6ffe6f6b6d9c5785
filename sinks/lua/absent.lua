-- Which ids are not here whole. It writes nothing, so it needs no lease.
-- KEYS: index, seen. ARGV: prefix of totals, prefix of ledgers, a JSON list of ids.
local absent = {}
for _, id in ipairs(cjson.decode(ARGV[3])) do
  if redis.call('EXISTS', ARGV[1] .. id, ARGV[2] .. id) < 2
    or not redis.call('ZSCORE', KEYS[1], id)
    or not redis.call('ZSCORE', KEYS[2], id) then
    absent[#absent + 1] = id
  end
end
return absent
