INSERT INTO status (process, at, record)
VALUES (%(process)s, now(), %(record)s)
ON CONFLICT (process) DO UPDATE SET
    at = excluded.at,
    record = excluded.record
