-- The sums of each id over the windows of a range.
SELECT id, {additive_of_windows}
FROM ({rows}) AS windows
GROUP BY id
