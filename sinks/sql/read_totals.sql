-- The totals of ids, as of one moment: all that transactions up to `number` have written of them.
SELECT
    totals.id,
    {totals_of_ids},
    newest.start,
    greatest(1, {expiry} - extract(epoch FROM now() - totals.updated_at))::bigint AS left_seconds,
    (SELECT number FROM sequence_numbers WHERE entity = {name}) AS number
FROM {totals} AS totals
CROSS JOIN LATERAL (SELECT max(window_start) AS start FROM {ledger} WHERE id = totals.id) AS newest
WHERE totals.id = ANY ({ids})
