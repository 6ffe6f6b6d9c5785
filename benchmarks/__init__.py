"""Benchmarks: this system and its peers on one machine, measured in turn in one run."""
