"""The subject: trips, entities, windows, totals, topics, messages and settings. No I/O."""
