"""The producer: trips from parquet files to Kafka, at the speed of their event times."""
