"""Backfills: whole closed windows counted again from the log, with corrections."""
