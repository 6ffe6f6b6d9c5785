-- When an id last had a new window: by this time Redis expires and refills ids. It has no index, so
-- that an update of the totals still changes only the page of its row; the rare queries by it read
-- the whole table.
ALTER TABLE {totals} ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
