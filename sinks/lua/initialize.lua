-- Take the lease of the writer, and store what identifies this Redis where it is not there yet.
-- KEYS: meta. ARGV after those of lease.lua: fingerprint, answers.
-- Returns the stored fingerprint and answers, and the instance id (field `life`): a text that
-- changes when Redis is emptied. `life_fence` is the fencing token of the cluster that made it.
local err = check_writer(KEYS[1])
if err then
  return err
end
redis.call('HSETNX', KEYS[1], 'fingerprint', ARGV[5])
redis.call('HSETNX', KEYS[1], 'answers', ARGV[6])
if redis.call('HSETNX', KEYS[1], 'life', string.format('%.0f %s', now_ms(), PROCESS)) == 1 then
  redis.call('HSET', KEYS[1], 'life_fence', ARGV[3])
end
return redis.call('HMGET', KEYS[1], 'fingerprint', 'answers', 'life')
