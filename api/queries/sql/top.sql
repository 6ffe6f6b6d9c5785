-- A row for each of the first ids, with the sums of all ids, which can exceed a bigint. Without any
-- id there is one row, which has the sums and the watermark only.
WITH sums AS MATERIALIZED ({sums}),
first AS ({first})
SELECT
    whole.*,
    (SELECT newest_window FROM sequence_numbers WHERE entity = %(entity)s) AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark,
    first.id,
    first.rank,
    {additive_of_first}
FROM (
    SELECT
        count(*) AS active_ids,
        {all_additive_of_ids}
    FROM sums
) AS whole
LEFT JOIN first ON true
ORDER BY first.rank, first.id
