-- Add up what starts in a span anew: windows, or hours of them. An interval is cut where a week of the
-- ledger ends. Rows are inserted in the order of time: so its index leads to few pages.
DELETE FROM {rollup} WHERE interval_start >= {start} AND interval_start < {end};

INSERT INTO {rollup} (id, interval_start, {measures_of_totals})
SELECT
    id,
    {time} - least(
        mod(mod({time} - {offset}, {length}) + {length}, {length}),
        mod(mod({time} - {first_week}, {week}) + {week}, {week})
    ) AS start,
    {merged}
FROM {source}
WHERE {time} >= {start} AND {time} < {end} AND trip_count > 0
GROUP BY id, start
ORDER BY start, id;
