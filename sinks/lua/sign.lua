-- KEYS: meta. ARGV after those of lease.lua: fingerprint, answers.
-- Returns the fingerprint and answers that the store was filled with: ours where it is new.
local refusal = refused(KEYS[1])
if refusal then
  return refusal
end
redis.call('HSETNX', KEYS[1], 'fingerprint', ARGV[5])
redis.call('HSETNX', KEYS[1], 'answers', ARGV[6])
return redis.call('HMGET', KEYS[1], 'fingerprint', 'answers')
