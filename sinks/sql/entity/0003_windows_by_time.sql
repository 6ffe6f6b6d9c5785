-- For questions about all ids over a range. A window's start never changes, so an update of the window
-- still needs no index entry, and many equal starts share one: it costs a batch next to nothing.
CREATE INDEX ON {ledger} (window_start);
