"""Queries over the stores: what the API reads from Redis and Postgres."""
