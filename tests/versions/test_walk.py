"""Walks through releases whose truth is known: what is claimed, and how often wrongly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.inference import METRICS, PACE, Said
from asyncdb_bench.analysis.metric_table import Table
from asyncdb_bench.extensions.versions.evidence import Line, label_of
from asyncdb_bench.extensions.versions.page import sentence
from asyncdb_bench.extensions.versions.walk import AT_ONCE, Between, Look, Walk

ROUNDS, STRAY, BY_LAUNCH = 40, 0.05, 0.006


class Found:
    """What of a comparison a line reads."""

    def __init__(self, tables: dict[str, Table], not_run: dict[str, str]) -> None:
        self.findings = self
        self.tables = tables
        self.not_run = not_run


def measured(
    line: Line, paces: list[float], wanted: list[int], rng: np.random.Generator, out: set[int]
) -> Comparison:
    """Return what a run of two launches shows of some releases."""
    cells = {}
    for place in wanted:
        if place in out:
            continue
        launches = {}
        for launch in range(2):
            stray = rng.normal(0, BY_LAUNCH)
            logs = math.log(paces[place]) + stray + rng.normal(0, STRAY, ROUNDS // 2)
            launches[launch] = dict(enumerate(np.exp(logs).tolist()))
        cells[line.labels[place]] = launches
    tables = {m.name: Table(m, cells if m is PACE else {}) for m in METRICS}
    failed = {line.labels[place]: "it does not start" for place in wanted if place in out}
    return Found(tables, failed)  # type: ignore[return-value]


def walked(paces: list[float], seed: int, runs: int = 8, out: set[int] | None = None) -> Line:
    """Return a walk through releases of some paces, 1/s, to its end."""
    line = Line("native", "read", [f"native@x=={place}" for place in range(len(paces))])
    rng = np.random.default_rng(seed)
    for number in range(runs):
        wanted = line.walk.wanted()
        if not wanted:
            break
        line.add(number, measured(line, paces, wanted, rng, out or set()))
    return line


def changes(line: Line) -> list[tuple[int, int]]:
    walk = line.walk
    return [pair for pair in walk.neighbours() if walk.between(*pair) is Between.CHANGE]


def test_where_nothing_changed_one_walk_of_200_claims_a_change_at_most() -> None:
    claimed = sum(bool(changes(walked([1000.0] * 12, seed))) for seed in range(200))
    assert claimed <= 1


@pytest.mark.parametrize("change", [0.92, 1.08])
def test_a_change_of_8_percent_among_30_is_placed_right(change: float) -> None:
    right = 0
    for seed in range(20):
        at = 1 + seed % 29
        paces = [1000.0 * (change if place >= at else 1.0) for place in range(30)]
        right += changes(walked(paces, seed)) == [(at - 1, at)]
    assert right >= 18


def test_releases_that_do_not_run_are_left_out_and_others_stand_for_them() -> None:
    paces = [1000.0 if place < 8 else 1200.0 for place in range(12)]
    line = walked(paces, 5, out={0, 1, 8})
    assert line.walk.out == {0, 1, 8}
    assert changes(line) == [(7, 9)]
    assert line.reasons[0] == "it does not start"
    told = sentence(line, [f"0.{place}" for place in range(12)])
    assert "0.9 does 1.2" in told
    assert "of what 0.7 does" in told


def test_a_walk_of_the_same_ends_after_one_run_and_says_so() -> None:
    line = walked([1000.0] * 4, 3)
    assert sentence(line, ["1.0", "1.1", "1.2", "1.3"]) == "the same from 1.0 to 1.3"
    assert not line.walk.wanted()


def test_nothing_runs() -> None:
    line = walked([1000.0] * 3, 3, out={0, 1, 2})
    assert line.walk.wanted() == []
    assert sentence(line, ["1", "2", "3"]) == "no release could be measured"


def test_the_first_run_is_spread_over_all_and_has_both_ends() -> None:
    wanted = Walk(30, lambda *_: Look(Said.SAME, 1)).wanted()
    assert len(wanted) == AT_ONCE
    assert (wanted[0], wanted[-1]) == (0, 29)


def test_what_stays_not_known_is_given_up() -> None:
    walk = Walk(2, lambda *_: Look(Said.UNKNOWN, 3))
    walk.note([0, 1], [])
    assert walk.wanted() == []
    assert walk.between(0, 1) is Between.OPEN


@pytest.mark.parametrize(
    ("request_", "label"),
    [
        ("native", "native@asyncpg==0.29.0"),
        ("native:pool=4", "native@asyncpg==0.29.0:pool=4"),
        ("own.py:Ours:pool=4", "own.py:Ours@asyncpg==0.29.0:pool=4"),
    ],
)
def test_a_release_goes_behind_the_name(request_: str, label: str) -> None:
    assert label_of(request_, "asyncpg", "0.29.0") == label
