-- A sum over all ids can exceed a bigint.
SELECT
    {additive_of_rows},
    (SELECT newest_window FROM sequence_numbers WHERE entity = %(entity)s) AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM ({rows}) AS rows
