"""What documents refer to exists: files, headings, recipes, settings."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mobility.secrets import SECRETS, file_variable
from mobility.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for folder in (".", "docs", "docs/adr", "data", "producer", "benchmarks")
    for path in (ROOT / folder).glob("*.md")
)
RECIPES = set(re.findall(r"^(\w+)(?: \*\w+)?:", (ROOT / "justfile").read_text(), re.MULTILINE))
FIELDS = {f"MOBILITY_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
VARIABLES = FIELDS | {file_variable(f"MOBILITY_{name.upper()}") for name in SECRETS}

_FENCE = re.compile(r"```.*?```", re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`|^ {4}(.+)$", re.MULTILINE)
_FILE = re.compile(r"(?:[\w-]+/)+[\w.-]+\.\w+|[\w-]+\.(?:md|yaml|toml)")
_MADE = ("results/", "pictures/", ".mobility/")
"""Folders that commands create."""


def text_of(document: Path) -> str:
    """Return the text of a document without its blocks of other languages."""
    return _FENCE.sub("", (ROOT / document).read_text())


def codes(document: Path) -> Iterator[str]:
    """Yield what a document shows as code: commands and names."""
    for inline, block in _CODE.findall(text_of(document)):
        yield inline or block


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = (heading.lower() for heading in _HEADING.findall(text_of(document)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    """Each relative link is a file, and its anchor a heading there."""
    broken = []
    for link in _LINK.findall(text_of(document)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / document).parent / name).resolve() if name else ROOT / document
        if not target.exists() or (anchor and anchor not in anchors(target.relative_to(ROOT))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_that_are_named_exist(document: Path) -> None:
    """From the root of the project, or from the folder of the document."""
    named = {code for code in codes(document) if _FILE.fullmatch(code)}
    places = (ROOT, (ROOT / document).parent)
    missing = [
        name
        for name in sorted(named)
        if not any((place / name).exists() for place in places) and not name.startswith(_MADE)
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_recipes_that_are_named_exist(document: Path) -> None:
    """Each `just` is followed by a recipe of the justfile."""
    named = {name for code in codes(document) for name in re.findall(r"\bjust (\w+)", code)}
    assert named - RECIPES == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_settings_that_are_named_exist(document: Path) -> None:
    """Also those with `_FILE` behind the name."""
    named = set(re.findall(r"\bMOBILITY_[A-Z][A-Z_]*[A-Z]\b", text_of(document)))
    assert named - VARIABLES == set()


def test_the_documents_are_all() -> None:
    """Those that git has are those that are looked at."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("no git")
    assert set(tracked.stdout.splitlines()) <= {str(path) for path in DOCUMENTS}
