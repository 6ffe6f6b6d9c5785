SELECT id, {additive}
FROM {totals}
WHERE trip_count > 0
