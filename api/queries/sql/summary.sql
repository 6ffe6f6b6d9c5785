-- The percentile of a share is the smallest value that at least this share of the ids does not
-- exceed. It is the value of an id, not interpolated.
WITH sums AS MATERIALIZED ({sums})
SELECT
    count(*) AS active_ids,
    {additive_of_ids},
    {percentiles},
    (SELECT newest_window FROM sequence_numbers WHERE entity = %(entity)s) AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM sums
