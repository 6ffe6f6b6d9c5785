-- No other transaction can reconcile these ids until this one ends. Locks are taken in the order in
-- which writers take them.
SELECT count(*)
FROM (SELECT FROM {totals} WHERE id = ANY ({ids}) ORDER BY id FOR SHARE) AS locked
