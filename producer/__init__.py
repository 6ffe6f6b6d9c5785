"""Parquet to Kafka at event-time pace."""
