-- Ids are collated "C", so the primary key is in the order of their bytes and a page is one range of it.
SELECT id, trip_count
FROM {metrics}
WHERE id > %(after)s
ORDER BY id
LIMIT %(limit)s
