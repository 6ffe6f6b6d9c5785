-- The numbers of the last transactions, and whose they are. An entity without windows has no row.
SELECT meta.value AS instance_id, numbers.entity, numbers.number
FROM meta
LEFT JOIN sequence_numbers AS numbers ON true
WHERE meta.name = 'instance_id'
