-- They are filled in the background (sinks/rollups.py). Intervals come in the order of time, so that a
-- summary of each few pages says which ones have those of a range.
CREATE TABLE {hours} (
    id text COLLATE "C" NOT NULL,
    interval_start bigint NOT NULL,
    {rollup_columns},
    PRIMARY KEY (id, interval_start)
);

CREATE INDEX ON {hours} USING brin (interval_start)
WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE {days} (LIKE {hours} INCLUDING ALL);
