SELECT id, {window_start} AS window_start, {measures}{sketches}
FROM {table}
WHERE {time} >= {start} AND {time} < {end} AND trip_count > 0
