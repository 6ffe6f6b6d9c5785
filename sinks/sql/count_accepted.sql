-- How many windows were accepted, and the ids of which a minimum or a maximum has to be found again.
SELECT
    (SELECT count(*) FROM accepted) AS applied,
    (SELECT coalesce(array_agg(id), '{{}}') FROM moved WHERE has_lost > 0) AS uncertain
