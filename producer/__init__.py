"""The producer: trips from files to Kafka, at the speed of their event times."""
