-- Add up the windows of a span anew. An interval is cut where a week of the ledger ends. Rows are
-- inserted in the order of time: so its index leads to few pages.
DELETE FROM {rollup} WHERE interval_start >= {start} AND interval_start < {end};

INSERT INTO {rollup} (id, interval_start, {measures_of_totals})
SELECT
    id,
    window_start - least(
        mod(mod(window_start - {offset}, {length}) + {length}, {length}),
        mod(mod(window_start - {first_week}, {week}) + {week}, {week})
    ) AS interval_start,
    {merged_measures}
FROM {ledger}
WHERE window_start >= {start} AND window_start < {end} AND trip_count > 0
GROUP BY id, interval_start
ORDER BY interval_start, id;
