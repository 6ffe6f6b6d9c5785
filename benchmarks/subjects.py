"""What `just bench` measures, by name."""

from collections.abc import Callable
from typing import Final

from benchmarks import throughput
from benchmarks.bench import Bench
from benchmarks.section import Section

SUBJECTS: Final[dict[str, Callable[[Bench], Section]]] = {
    "throughput": throughput.measure,
}
