-- Add up the windows of a partition that will be dropped.
INSERT INTO {before} AS before (id, {measures_of_totals}, generation)
SELECT id, {merged_measures}, max(generation)
FROM {partition}
GROUP BY id
ORDER BY id
ON CONFLICT (id) DO UPDATE SET
    {added_to_before},
    generation = greatest(before.generation, excluded.generation)
