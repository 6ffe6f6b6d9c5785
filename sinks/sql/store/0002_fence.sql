CREATE TABLE fence (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    token bigint NOT NULL,
    holder text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE fence IS
    'The highest fencing token that was taken, and by whom: an older cluster may not write.';

INSERT INTO fence (token, holder) VALUES (0, 'nobody');
