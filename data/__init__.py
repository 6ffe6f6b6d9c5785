"""The sample data: a day of trips in an invented city, and the seeded generator that makes it."""
