-- Take a fencing token: higher than the one held here and not below the one offered.
-- KEYS: meta. ARGV: token offered, holder, fingerprint. Returns the token as text, or an empty text,
-- and the fingerprint and answers of the settings that the store was filled with.
local held = redis.call('HMGET', KEYS[1], 'fence', 'fingerprint', 'answers')
if held[2] and held[2] ~= ARGV[3] then
  return {'', held[2], held[3]}
end
local token = string.format('%.0f', math.max(tonumber(ARGV[1]), tonumber(held[1] or 0) + 1))
redis.call('HSET', KEYS[1], 'fence', token, 'fence_holder', ARGV[2])
return {token, ARGV[3], ''}
