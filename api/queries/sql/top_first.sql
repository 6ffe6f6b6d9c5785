-- Ids with a better rank than one of the first are among the first, so their ranks need no other ids.
SELECT first.*, rank() OVER (ORDER BY {amount} DESC) AS rank
FROM (SELECT * FROM sums ORDER BY {amount} DESC, id LIMIT %(limit)s) AS first
