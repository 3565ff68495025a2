"""A short part of the matrix of faults; ``make faults`` tries all of it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.cases import SHORT, Case, all_cases
from tests.faults.strike import Outcome, Struck
from tests.faults.table import BEGIN, END, table, totals, written


@pytest.mark.e2e
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(each, marks=pytest.mark.long if each.part in ("guard", "delay") else ())
        for each in SHORT
    ],
    ids=str,
)
def test_no_fault_is_taken_for_a_figure_and_none_leaves_anything(
    case: Case,
) -> None:
    # not under pytest's own folder, which the account that PostgreSQL runs as may not enter
    with TemporaryDirectory(prefix="fault-") as folder:
        outcome = Struck(case, Path(folder)).run()
    assert outcome.struck, outcome.output
    assert outcome.wrong == []
    assert outcome.left == []
    if case.moment in ("window", "drain") and case.part != "harness":
        assert outcome.lost


def test_the_matrix_has_every_part_fault_and_moment() -> None:
    cases = all_cases()
    assert len(cases) > 150
    assert {case.part for case in cases if case.strategy == "celery"} >= {"worker", "broker"}
    assert not [case for case in cases if case.strategy == "native" and case.part == "worker"]
    assert set(SHORT) <= set(cases)


def test_the_table_tells_survived_from_wrong_and_left() -> None:
    one, two, three = all_cases()[:3]
    outcomes = [
        Outcome(one, code=0, struck=[1], paces={"native": 1.0}),
        Outcome(two, code=0, struck=[1], wrong=["x"]),
        Outcome(three, code=0, struck=[1], left=["x"]),
    ]
    assert "3 faults tried, 3 struck, 1 survived, 1 wrongly" in totals(outcomes)
    text = written(f"before\n{BEGIN}\nold\n{END}\nafter", outcomes)
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert "**wrong**" in table(outcomes)
    assert "**left**" in table(outcomes)
