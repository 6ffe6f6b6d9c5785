"""Real Kafka, Redis and Postgres on this machine without Docker, and the system run on them."""
