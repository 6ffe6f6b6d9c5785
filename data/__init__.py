"""The sample data: a day of trips in a fictitious city, and its seeded generator."""
