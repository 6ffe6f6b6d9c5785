"""Queries: what the API reads from Redis and Postgres. Nothing here knows HTTP."""
