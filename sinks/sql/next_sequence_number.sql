-- Number this transaction. This is its last statement, so that others wait for the row only while
-- this one is committed.
INSERT INTO sequence_numbers (entity, number) VALUES (%(entity)s, 1)
ON CONFLICT (entity) DO UPDATE SET number = sequence_numbers.number + 1
RETURNING number, (SELECT value FROM meta WHERE name = 'instance_id') AS instance_id
