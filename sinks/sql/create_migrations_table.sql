-- Which numbered files have run: `scope` is `store`, or the name of an entity.
CREATE TABLE IF NOT EXISTS migrations (
    scope text NOT NULL,
    number integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, number)
);
