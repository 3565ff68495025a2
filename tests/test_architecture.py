"""docs/architecture.md: the walks name files and functions that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEP = re.compile(r"^\d+\. (.*?)(?=^\d+\. |^#|\Z)", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w/]+\.py)`(?: `([\w.]+)`)?")


def walk(title: str) -> list[tuple[str, str]]:
    """Return the files of a walk with the function named beside each, or an empty text."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    _, _, rest = text.partition(f"## {title}\n")
    section, _, _ = rest.partition("\n## ")
    return [found for step in STEP.findall(section) for found in NAMED.findall(step)]


def names_of(path: Path) -> set[str]:
    """Return the functions, classes and methods that a file defines."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if hasattr(each, "name")}
    return found


@pytest.mark.parametrize("title", ["One measured second", "One verdict"])
def test_a_walk_opens_at_most_ten_files_and_names_what_is_there(title: str) -> None:
    steps = walk(title)
    assert 5 <= len({file for file, _ in steps}) <= 10
    for file, name in steps:
        path = ROOT / "asyncdb_bench" / file
        assert path.is_file(), file
        assert not name or name in names_of(path), f"{file} {name}"
