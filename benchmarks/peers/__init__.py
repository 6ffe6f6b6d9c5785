"""The peers. Each script `run_*.py` is run by its path, in its own environment."""
