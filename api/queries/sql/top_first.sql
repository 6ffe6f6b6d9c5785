-- Whoever is before one of the first is among them, so their ranks are found without the others.
SELECT most.*, rank() OVER (ORDER BY {amount} DESC) AS rank
FROM (SELECT * FROM sums ORDER BY {amount} DESC, id LIMIT %(limit)s) AS most
