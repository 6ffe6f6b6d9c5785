SELECT id, {additive}
FROM ({ids}) AS ids
WHERE id >= %(prefix)s AND id < %(prefix_end)s
ORDER BY {order}
LIMIT %(limit)s::bigint
