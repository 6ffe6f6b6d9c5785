"""The stream processing: from the log of trips to windows, with Bytewax."""

import os

# Polars shares a batch out among threads, which costs more than it gains: batches are small, and
# the flow's own threads and processes keep the cores busy. It reads this when it is imported.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
# Its streaming engine hands each query to a thread of its own, which has to get a core first.
os.environ.setdefault("POLARS_ENGINE_AFFINITY", "in-memory")
# NumPy starts threads for matrices, and there are none here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
