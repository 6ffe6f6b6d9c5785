-- Take a fencing token: higher than the stored one and not below the offered one.
-- KEYS: meta. ARGV: offered token, holder, fingerprint. Returns the token as text and our
-- fingerprint. Where the store was filled with another fingerprint it returns an empty text, and
-- the stored fingerprint and answers.
local stored = redis.call('HMGET', KEYS[1], 'fence', 'fingerprint', 'answers')
if stored[2] and stored[2] ~= ARGV[3] then
  return {'', stored[2], stored[3]}
end
local token = string.format('%.0f', math.max(tonumber(ARGV[1]), tonumber(stored[1] or 0) + 1))
redis.call('HSET', KEYS[1], 'fence', token, 'fence_holder', ARGV[2])
return {token, ARGV[3], ''}
