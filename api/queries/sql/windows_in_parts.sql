-- Each part is a range of the index by time; by the whole range the planner chooses the partitions. A
-- backfill can leave windows without trips; they do not count.
SELECT id, {window_start} AS window_start, {measures}{sketches}
FROM unnest({starts}::bigint[], {ends}::bigint[]) AS part (part_start, part_end)
JOIN {table} ON {time} >= part_start AND {time} < part_end
WHERE {time} >= {start} AND {time} < {end} AND trip_count > 0
