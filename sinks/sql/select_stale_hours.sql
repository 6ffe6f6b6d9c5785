SELECT number, hour FROM stale_hours
WHERE entity = %(entity)s AND hour >= %(start)s AND hour < %(end)s
