"""Every case has tests that are there."""

from __future__ import annotations

import ast

import pytest

from tests.cases.__main__ import main
from tests.cases.table import CASES
from tests.command_line import ROOT


@pytest.mark.parametrize("case", CASES)
def test_its_tests_are_there(case: str) -> None:
    assert CASES[case]
    for node in CASES[case]:
        file, _, function = node.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        there = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
        assert not function or function in there
        assert function or any(each.startswith("test_") for each in there)


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "unknown: nothing; known: broker-skipped" in capsys.readouterr().err
