-- KEYS: meta. ARGV after those of lease.lua: fingerprint, answers.
-- Returns the fingerprint and answers that the store was filled with, ours where it is new, and its
-- life: a text that is another one after everything was lost.
local refusal = refused(KEYS[1])
if refusal then
  return refusal
end
redis.call('HSETNX', KEYS[1], 'fingerprint', ARGV[5])
redis.call('HSETNX', KEYS[1], 'answers', ARGV[6])
redis.call('HSETNX', KEYS[1], 'life', string.format('%.0f %s', now_ms(), WHO))
return redis.call('HMGET', KEYS[1], 'fingerprint', 'answers', 'life')
