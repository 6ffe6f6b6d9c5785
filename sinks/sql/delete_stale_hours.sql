-- Those that were read, and none that others have recorded since.
DELETE FROM stale_hours
USING unnest(%(numbers)s::bigint[], %(hours)s::bigint[]) AS refreshed (number, hour)
WHERE entity = %(entity)s
    AND stale_hours.hour = refreshed.hour
    AND stale_hours.number = refreshed.number
