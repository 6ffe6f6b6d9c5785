SELECT sums.*, 1 + (SELECT count(*) FROM sums AS other WHERE other.{amount} > sums.{amount}) AS rank
FROM sums
WHERE id = %(only)s
