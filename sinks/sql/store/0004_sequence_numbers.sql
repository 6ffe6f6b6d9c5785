CREATE TABLE sequence_numbers (
    entity text PRIMARY KEY,
    number bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE sequence_numbers IS
    'The number of the last transaction that wrote windows of an entity: a lower one than before '
    'means that this store was replaced by an earlier copy.';

INSERT INTO meta (name, value) VALUES ('instance_id', gen_random_uuid()::text);
