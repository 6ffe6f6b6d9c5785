-- Release the lease of this backfill, so that the next one need not wait until it expires.
-- KEYS: meta.
if redis.call('HGET', KEYS[1], 'backfill') == PROCESS then
  redis.call('HDEL', KEYS[1], 'backfill', 'backfill_until')
end
