"""Kafka for every room: clients, topics, a bounded reader, and producers that check delivery."""
