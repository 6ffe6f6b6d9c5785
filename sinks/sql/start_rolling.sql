-- Whoever commits windows from now on records those from before; who has committed them already is
-- seen by the next statement, because all hold this row until their commit. Nothing is returned of
-- an entity that has no windows.
UPDATE sequence_numbers SET rolling_to = greatest(rolling_to, %(limit)s)
WHERE entity = %(entity)s
RETURNING rolling_to, oldest_window, kept_from
