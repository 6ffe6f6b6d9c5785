-- The totals of ids, as of one moment: all that transactions up to `number` have written of them.
SELECT
    totals.id,
    {totals_of_ids},
    newest_window,
    greatest(1, {expiry} - extract(epoch FROM now() - totals.updated_at))::bigint AS left_seconds,
    (SELECT number FROM sequence_numbers WHERE entity = {name}) AS number
FROM {totals} AS totals
WHERE totals.id = ANY ({ids})
