-- The oldest and the newest window of an entity, and the watermark.
SELECT
    (SELECT oldest_window FROM sequence_numbers WHERE entity = %(entity)s) AS oldest_window,
    (SELECT newest_window FROM sequence_numbers WHERE entity = %(entity)s) AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
