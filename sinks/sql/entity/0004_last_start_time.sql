-- When the latest trip started is a column of an added measure (sinks/migrations.py). To fill it in
-- here, for all windows that there are, would lock them for minutes.
SELECT;
