-- Nobody reconciles these ids until the transaction ends. In the order in which writers lock them.
SELECT count(*)
FROM (SELECT FROM {totals} WHERE id = ANY ({ids}) ORDER BY id FOR SHARE) AS held
