-- Attached, not created as a partition: that takes a lock on the ledger which neither readers nor
-- writers wait for. Windows come in the order of time, so that a summary of each few pages says
-- which ones have the windows of an hour. The fill factor leaves room on the page for the next
-- version of a window, so that an update need not touch the primary key.
CREATE TABLE {partition} (LIKE {ledger} INCLUDING ALL) WITH (fillfactor = 80);

CREATE INDEX ON {partition} USING brin (window_start)
WITH (pages_per_range = 32, autosummarize = on);

ALTER TABLE {ledger} ATTACH PARTITION {partition} FOR VALUES FROM ({start}) TO ({end});
