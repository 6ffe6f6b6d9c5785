"""Connections to Postgres for everybody: how they are opened, and which servers are refused."""
