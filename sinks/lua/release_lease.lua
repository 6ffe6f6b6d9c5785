-- End this process's backfill, so that the next need not wait for the lease to run out.
-- KEYS: meta.
if redis.call('HGET', KEYS[1], 'backfill') == WHO then
  redis.call('HDEL', KEYS[1], 'backfill', 'backfill_until')
end
