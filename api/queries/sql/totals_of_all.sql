SELECT {totals_with_carries}
FROM {totals}
WHERE trip_count > 0
