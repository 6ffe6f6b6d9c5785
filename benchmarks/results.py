"""`results.json`: the sections that were measured, each with its date, machine and command."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Measured
from benchmarks.section import Section

_FILE: Final = "results.json"

Record = dict[str, Any]


def record(section: Section, **circumstances: object) -> Record:
    """Return a section as plain values, with when, where and how it was measured."""
    return {
        **asdict(section),
        "measured": [_measured(each) for each in section.measured],
        "targets": [{**asdict(target), "met": target.met} for target in section.targets],
        **circumstances,
    }


def merged(folder: Path, section: Record) -> dict[str, Record]:
    """Put a section in the place of its predecessor in the folder's file; return all of them."""
    path = folder / _FILE
    sections: dict[str, Record] = json.loads(path.read_text()) if path.exists() else {}
    sections[section["name"]] = section
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(sections, indent=2) + "\n")
    draft.replace(path)
    return sections


def _measured(measured: Measured) -> Record:
    return {
        **asdict(measured),
        "rate": measured.rate,
        "rates": measured.rates,
        "whole_rate": measured.whole_rate,
        "spread": measured.spread,
        "cpu_a_trip": measured.cpu_a_trip,
        "peak_mb": measured.peak_mb,
    }
