-- The windows that start in the parts of a range. Each part is a range of the index by time; by the
-- whole range the planner chooses the partitions.
SELECT id, {additive}
FROM unnest(%(starts)s::bigint[], %(ends)s::bigint[]) AS part (part_start, part_end)
JOIN {ledger} ON window_start >= part_start AND window_start < part_end
WHERE window_start >= %(start)s AND window_start < %(end)s AND trip_count > 0
