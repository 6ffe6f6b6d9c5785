"""Measurements: this system and its peers on one machine, side by side in one run."""
