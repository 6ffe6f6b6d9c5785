-- KEYS: meta. ARGV: writer, lease in ms, fingerprint, answers.
-- Returns the fingerprint and answers that the store was filled with: ours where it is new.
local other = holder(KEYS[1], ARGV[1], ARGV[2])
if other then
  return redis.error_reply('WRITER ' .. other)
end
redis.call('HSETNX', KEYS[1], 'fingerprint', ARGV[3])
redis.call('HSETNX', KEYS[1], 'answers', ARGV[4])
return redis.call('HMGET', KEYS[1], 'fingerprint', 'answers')
