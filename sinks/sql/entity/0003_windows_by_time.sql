-- For queries over all ids of a range. The start of a window never changes, so an update of the
-- window needs no new index entry, and equal starts are deduplicated: the index costs little.
CREATE INDEX ON {ledger} (window_start);
