"""All tests that docs/guarantees.md names exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "guarantees.md").read_text())


def test_each_named_test_exists() -> None:
    """No guarantee names a test that was renamed or removed."""
    missing = [f"{path}::{name}" for path, name in NAMED if name not in functions(ROOT / path)]
    assert missing == []


def test_each_chaos_test_shows_a_guarantee() -> None:
    """The page names every chaos test, except the tests of the tools."""
    shown = {name for path, name in NAMED if path.startswith("tests/chaos/")}
    files = set((ROOT / "tests" / "chaos").glob("test_*.py"))
    tools = {ROOT / "tests" / "chaos" / "test_tools.py"}
    there = set().union(*(functions(path) for path in files - tools))
    assert there == shown


def functions(path: Path) -> set[str]:
    """Return the names of a file's test functions; empty if the file does not exist."""
    if not path.exists():
        return set()
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
