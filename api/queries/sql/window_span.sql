-- The oldest and the newest window of an entity, also of dropped ones, and the watermark.
SELECT
    numbers.oldest_window,
    numbers.newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
FROM (SELECT) AS one
LEFT JOIN sequence_numbers AS numbers ON numbers.entity = %(entity)s
