"""Trips, entities, event time, windows and settings: every package imports them."""
