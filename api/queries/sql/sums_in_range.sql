-- The sums of each id over windows.
SELECT id, {additive_of_windows}
FROM ({rows}) AS windows
GROUP BY id
