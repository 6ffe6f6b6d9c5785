"""The HTTP API: reads what the flow has put into Redis and Postgres, and nothing else."""
