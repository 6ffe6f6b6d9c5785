-- Take the lease of the writer, and store what identifies this Redis where it is not there yet.
-- KEYS: meta. ARGV after those of lease.lua: fingerprint, answers.
-- Returns the stored fingerprint and answers. The instance id (field `life`) is a text that changes
-- when Redis is emptied. The reply is an error `FOLLOWER` where Redis follows Postgres, and so has no
-- windows.
local err = check_writer(KEYS[1])
if err then
  return err
end
if redis.call('HEXISTS', KEYS[1], 'follows') == 1 then
  return redis.error_reply('FOLLOWER')
end
redis.call('HSETNX', KEYS[1], 'fingerprint', ARGV[5])
redis.call('HSETNX', KEYS[1], 'answers', ARGV[6])
redis.call('HSETNX', KEYS[1], 'life', string.format('%.0f %s', now_ms(), PROCESS))
return redis.call('HMGET', KEYS[1], 'fingerprint', 'answers')
