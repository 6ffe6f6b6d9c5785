-- The totals of the ids of a batch after it: the statement before this one has locked them. An array
-- is always looked up in the index. For a join with the batch the planner could choose to read all
-- ids of the table.
SELECT totals.id, {totals_of_ids}, newest_window
FROM {totals} AS totals
WHERE totals.id = ANY (ARRAY(SELECT id FROM staged_totals))
