"""The peers. The scripts `run_*.py` are run by file, each in an environment of its own."""
