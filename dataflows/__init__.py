"""The stream processing: from the log of trips to windows, with Bytewax."""
