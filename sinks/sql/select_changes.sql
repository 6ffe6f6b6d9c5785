SELECT count(*) AS transactions, coalesce(string_agg(ids, E'\n'), '') AS ids
FROM changes
WHERE entity = %(entity)s AND number > %(after)s AND number <= %(until)s
