"""`results.json`: the measured sections, each with its date, machine and command."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Measurement
from benchmarks.section import Section
from mobility.files import write_atomically

_FILE: Final = "results.json"

Record = dict[str, Any]


def record(section: Section, **circumstances: object) -> Record:
    """Return a section as plain values, with date, machine and command of the measurement."""
    return {
        **asdict(section),
        "measured": [_measured(each) for each in section.measured],
        "targets": [{**asdict(target), "met": target.met} for target in section.targets],
        **circumstances,
    }


def merged(folder: Path, section: Record) -> dict[str, Record]:
    """Replace a section in the folder's file; return all sections."""
    path = folder / _FILE
    sections: dict[str, Record] = json.loads(path.read_text()) if path.exists() else {}
    sections[section["name"]] = section
    write_atomically(path, json.dumps(sections, indent=2) + "\n")
    return sections


def _measured(measured: Measurement) -> Record:
    return {
        **asdict(measured),
        "rate": measured.rate,
        "rates": measured.rates,
        "whole_rate": measured.whole_rate,
        "spread": measured.spread,
        "cpu_a_trip": measured.cpu_a_trip,
        "peak_mb": measured.peak_mb,
    }
