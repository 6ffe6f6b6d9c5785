"""Shared Kafka clients: topics, a bounded reader, and producers that check delivery."""
