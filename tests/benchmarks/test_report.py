"""The written results."""

import json
from pathlib import Path

from benchmarks.figures import Measurement, RunFigures
from benchmarks.plot import draw
from benchmarks.report import document
from benchmarks.results import merged, record
from benchmarks.section import Section, Target

CIRCUMSTANCES = {
    "command": "just bench",
    "date": "2025-06-02",
    "repeat": 2,
    "machine": {"cores": "2"},
    "versions": {"Python": "3.11"},
}


def throughput() -> Section:
    """Return a section with two systems and a target that is not met."""
    systems = tuple(
        Measurement(
            name,
            101_000,
            (RunFigures(s, s, 100.0), RunFigures(s, s, 90.0)),
            1_000,
            (RunFigures(1.0, 0.5, 50.0),),
        )
        for name, s in (("mobility-hub", 2.0), ("flink-tuned", 3.0))
    )
    target = Target("mobility-hub / flink-tuned", 2.0, 3.0)
    return Section("throughput", "Throughput", "All.", systems, targets=(target,))


def test_the_page_has_rates_targets_and_circumstances(tmp_path: Path) -> None:
    """A target that is not met is in bold."""
    page = document(merged(tmp_path, record(throughput(), **CIRCUMSTANCES)))
    assert "| `mobility-hub` | 101,000 | 100,000 | 0% | 50,500 | 15.0 | 100 |  |" in page
    assert "| mobility-hub / flink-tuned | 2.00 | ≥ 3 | **no** |" in page
    assert "`just bench`, 2025-06-02, 2 runs each. Machine: cores 2. Versions: Python 3.11." in page


def test_a_section_replaces_only_its_predecessor(tmp_path: Path) -> None:
    """Others are unchanged, in the same order."""
    merged(tmp_path, record(throughput(), **CIRCUMSTANCES))
    merged(tmp_path, record(Section("live", "Live", "x"), **CIRCUMSTANCES))
    again = merged(tmp_path, record(throughput(), **{**CIRCUMSTANCES, "repeat": 9}))
    assert list(again) == ["throughput", "live"]
    assert [each["repeat"] for each in again.values()] == [9, 2]
    assert json.loads((tmp_path / "results.json").read_text()) == json.loads(json.dumps(again))


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    """As a PNG."""
    draw(record(throughput(), **CIRCUMSTANCES), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
