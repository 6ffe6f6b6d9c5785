"""Backfills: complete windows counted again from the log, with corrections."""
