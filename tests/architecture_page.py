"""The tables of files in docs/architecture.md, so that tests can hold them against what runs."""

import re
from collections.abc import Collection
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]


def section(title: str) -> str:
    """Return the section of the page whose title begins so."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    (found,) = re.findall(rf"^## {title}.*?(?=^## )", page, re.DOTALL | re.MULTILINE)
    return str(found)


def files_in(text: str) -> set[str]:
    """Return the files that a text names."""
    return set(re.findall(r"`(\w+(?:/\w+)+\.py)`", text))


def steps_in(text: str) -> dict[str, set[str]]:
    """Return the files of the first column of the tables in a text, with their helpers."""
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return {files_in(row[0]).pop(): files_in(row[2]) for row in rows}


def project_file(frame: FrameType, packages: Collection[str]) -> str | None:
    """Return the file of the project whose code a frame runs; None outside these packages."""
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT)
    return name.as_posix() if name.parts[0] in packages else None
