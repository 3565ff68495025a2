"""One knob in several values: asked for, drawn as a curve, the smallest good one recommended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.knob_curve import knob_curves
from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices, parse_vary
from asyncdb_bench.records.plan import Variant
from tests.factories import manifest, step

LOADS = (100.0, 200.0, 300.0, 400.0, 500.0)


def labels(**choices: Any) -> list[str]:
    return [each.label for each in make_plan(Choices(**choices), read_profiles()).variants]


def test_a_varied_strategy_runs_alone_unless_others_are_asked_for() -> None:
    assert labels(vary=["executor:threads=1,2,4"]) == [f"executor:threads={n}" for n in (1, 2, 4)]
    assert labels(strategies="native,executor:pool=2", vary=["executor:threads=1,2"]) == [
        "native",
        "executor:pool=2:threads=1",
        "executor:pool=2:threads=2",
    ]


def test_app_stands_for_every_strategy_of_the_run() -> None:
    assert labels(strategies="native,blocking", vary=["app:processes=1,2"]) == [
        "native:processes=1",
        "native:processes=2",
        "blocking:processes=1",
        "blocking:processes=2",
    ]


@pytest.mark.parametrize(
    "text", ["executor", "executor:threads", "threads=1,2", "executor:threads=1", "executor:=1,2"]
)
def test_what_does_not_vary_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--vary"):
        parse_vary(text)


def test_a_share_that_would_be_empty_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="native:pool=2 cannot be split among 4 processes"):
        labels(strategies="native:pool=2:processes=4")


def compared(carried: Mapping[int, float]) -> tuple[list[Variant], Comparison]:
    variants = [
        Variant(f"executor:threads={n}", "executor", {"threads": n, "pool": 0}, n) for n in carried
    ]
    steps = [
        step(each.label, load, p99=20 if load <= top else 400)
        for each, top in zip(variants, carried.values(), strict=True)
        for load in LOADS
        if load <= top + 100
    ]
    made = manifest(tuple(each.label for each in variants))
    made = replace(made, plan=replace(made.plan, variants=tuple(variants)))
    (found,) = compare_scenarios(made, [], steps)
    return variants, found


def test_the_smallest_value_near_the_best_is_recommended() -> None:
    (curve,) = knob_curves(*compared({1: 100, 2: 200, 4: 400, 8: 400, 16: 300}), 32)
    assert (curve.name, curve.knob) == ("executor", "threads")
    assert [point.value for point in curve.points] == [1, 2, 4, 8, 16]
    assert curve.recommended is not None
    assert curve.recommended.value == 4
    assert re.fullmatch(
        r"use executor:threads=4: it carries \d+/s; 2 carries \d+/s", curve.sentence
    )


def test_the_largest_value_tried_is_not_praised_as_enough() -> None:
    (curve,) = knob_curves(*compared({1: 100, 2: 200, 4: 400}), 32)
    assert "the largest value tried, so more may do better" in curve.sentence


def test_two_points_are_no_curve() -> None:
    assert knob_curves(*compared({1: 100, 2: 200}), 32) == []


def test_a_prediction_is_held_against_what_was_measured() -> None:
    (curve,) = knob_curves(*compared({1: 100, 2: 200, 4: 400}), 32)
    point = replace(curve.points[0], pace_rps=120.0, predicted_rps=100.0)
    assert point.deviation == pytest.approx(0.2)
    assert curve.points[0].deviation is None, "ladders have no pace"
