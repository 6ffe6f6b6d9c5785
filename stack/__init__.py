"""Real Kafka, Redis and Postgres on this machine without Docker, and the system on top of them."""
