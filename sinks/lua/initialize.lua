-- Take the lease of the writer, and store what identifies this Redis where it is not there yet.
-- KEYS: meta. ARGV after those of lease.lua: fingerprint, answers.
-- Returns the stored fingerprint and answers, and the instance id (field `life`): a text that
-- changes when Redis is emptied.
local err = check_writer(KEYS[1])
if err then
  return err
end
redis.call('HSETNX', KEYS[1], 'fingerprint', ARGV[5])
redis.call('HSETNX', KEYS[1], 'answers', ARGV[6])
redis.call('HSETNX', KEYS[1], 'life', string.format('%.0f %s', now_ms(), PROCESS))
return redis.call('HMGET', KEYS[1], 'fingerprint', 'answers', 'life')
