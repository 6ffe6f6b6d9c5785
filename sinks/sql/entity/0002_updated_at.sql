-- When an id last had news: what Redis forgets an id by, and is filled again by. No index, so that an
-- update of totals still touches the page of its row alone; who asks reads the table, which is rare.
ALTER TABLE {totals} ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
