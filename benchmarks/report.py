"""`RESULTS.md`: the results as a page. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from benchmarks.results import Record

_INTRODUCTION: Final = """\
# Results

Written by `just bench`; `results.json` holds the same for machines. All systems of a table ran in
one session on one machine that also ran the broker and the stores, in turn and repeated: medians,
and ratios between rows, are what to look at. Every run of this system, and every run of a peer that
does not drop trips by design, ended with its output compared with one batch computation over the
log; a difference would have ended the measurement."""

_THROUGHPUT: Final = (
    "system",
    "trips",
    "trips/s",
    "spread",
    "whole",
    "CPU µs/trip",
    "peak MiB",
    "output",
)


def document(sections: Mapping[str, Record]) -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION, *("\n\n".join(_section(each)) for each in sections.values())]
    return "\n\n".join(parts) + "\n"


def lines(section: Record) -> str:
    """Return one section as text."""
    return "\n\n".join(_section(section))


def _section(section: Record) -> Iterator[str]:
    yield f"## {section['title']}"
    yield section["text"]
    if section["name"] == "throughput":
        yield "![Trips a second](throughput.png)"
    if section["measured"]:
        yield _table(_THROUGHPUT, [_row(each) for each in section["measured"]])
        notes = [f"- `{e['system']}`: {e['note']}" for e in section["measured"] if e["note"]]
        if notes:
            yield "\n".join(notes)
    if section["rows"]:
        yield _table(section["headings"], section["rows"])
    if section["targets"]:
        yield _table(("target", "measured", "wanted", "met"), _targets(section["targets"]))
    yield _circumstances(section)


def _row(measured: Record) -> tuple[str, ...]:
    return (
        f"`{measured['system']}`",
        f"{measured['trips']:,}",
        f"{measured['rate']:,.0f}",
        f"{measured['spread']:.0%}",
        f"{measured['whole_rate']:,.0f}",
        f"{measured['cpu_a_trip']:,.1f}",
        f"{measured['peak_mb']:,.0f}",
        measured["check"],
    )


def _targets(targets: Sequence[Record]) -> list[tuple[str, ...]]:
    return [
        (
            target["what"],
            _figure(target["figure"]),
            f"{'≤' if target['most'] else '≥'} {target['bound']:,g}",
            "yes" if target["met"] else "**no**",
        )
        for target in targets
    ]


def _figure(figure: float) -> str:
    digits = max(0, 2 - math.floor(math.log10(figure))) if figure > 0 else 0
    return f"{figure:,.{digits}f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    alignment = [":--", *["--:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, alignment, *rows])


def _circumstances(section: Record) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in section["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in section["versions"].items())
    command = f"`{section['command']}`, {section['date']}"
    return f"{command}, {section['repeat']} runs each. Machine: {machine}. Versions: {versions}."
