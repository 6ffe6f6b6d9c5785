-- The oldest and the newest window of an entity, both from the index by time, and the watermark.
SELECT
    (SELECT min(window_start) FROM {ledger}) AS oldest_window,
    (SELECT max(window_start) FROM {ledger}) AS newest_window,
    (SELECT min(watermark) FROM progress WHERE entity = %(entity)s) AS watermark
