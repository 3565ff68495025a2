"""Operational laws and the diagnosis, on figures made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.limits import (
    apart,
    busy,
    ceiling,
    diagnose,
    grown,
    picture,
    pictures,
)
from asyncdb_bench.records.plan import Pinning, Variant
from asyncdb_bench.records.step import PHASES, Percentiles, Step, Threads, Usage
from tests.factories import step

ONE_EACH = Pinning({"app": (0,), "workers": (0,), "postgresql": (1,), "load": (1,)})


def variant(**limits: int) -> Variant:
    return Variant("v", "v", {}, 8, limits=limits)


def seen(offered: float, phases: dict[str, float] | None = None, **changes: Any) -> Step:
    """Make a step of 2 s with means of phases, milliseconds."""
    count = round(offered * 2)
    values: dict[str, Any] = {
        "phases": {
            name: Percentiles(count, value, value, value, value, value, value)
            for name, value in (dict.fromkeys(PHASES, 0.1) | (phases or {})).items()
        },
        "usage": {"app": Usage(0.1, 60.0, 50.0, 1), "load": Usage(0.1, 90.0, None, 1)},
        "threads": Threads(0.1, 0.0, None, 2),
        "connections_active_mean": 0.5,
    }
    return step("v", offered, **(values | changes))


def used(app_s: float, loop_s: float, **roles: float) -> dict[str, Any]:
    others = {role: Usage(cpu_s, 1.0, None, 1) for role, cpu_s in roles.items()}
    return {
        "usage": {"app": Usage(app_s, 60.0, None, 1), "load": Usage(0.1, 1.0, None, 1)} | others,
        "threads": Threads(loop_s, app_s - loop_s, None, 9),
    }


def test_the_utilisation_law() -> None:
    at = picture([seen(100, {"held": 40, "run": 60})])
    shares = busy(at, {"connections": 8, "threads": 10})
    assert shares == pytest.approx({"connections": 100 * 0.040 / 8, "threads": 100 * 0.060 / 10})


@given(st.floats(1, 500), st.integers(1, 64))
def test_a_ceiling_is_servers_over_demand(demand_ms: float, servers: int) -> None:
    steps = [seen(100, {"held": demand_ms}, usage={})]
    found = ceiling(pictures(steps), variant(connections=servers), Pinning())
    assert found is not None
    assert found.resource == "connections"
    assert found.rps == pytest.approx(servers * 1000 / demand_ms)
    assert found.law.startswith(f"{servers} connection")


def test_the_lowest_ceiling_counts_and_the_smallest_demand() -> None:
    steps = [
        seen(100, {"held": 50, "run": 20}, **used(0.4, 0.4)),
        seen(200, {"held": 80, "run": 10}, **used(0.6, 0.6)),
    ]
    found = ceiling(pictures(steps), variant(connections=8, threads=1), ONE_EACH)
    assert found is not None
    # 1 thread / 10 ms against 8 connections / 50 ms and 1 core / 1.5 ms of CPU
    assert found.resource == "threads"
    assert found.rps == pytest.approx(100)
    assert found.law == "1 thread / 10 ms"


def test_too_few_samples_make_no_ceiling() -> None:
    assert ceiling(pictures([seen(5, {"held": 50})]), variant(connections=8), ONE_EACH) is None
    assert ceiling([], variant(), ONE_EACH) is None


@pytest.mark.parametrize(("rps", "is_apart"), [(100, False), (86, False), (84, True), (116, True)])
def test_fifteen_percent_want_an_explanation(rps: float, is_apart: bool) -> None:
    found = ceiling(
        pictures([seen(100, {"held": 10}, usage={})]), variant(connections=1), Pinning()
    )
    assert found is not None
    assert apart(rps, found) == is_apart


def test_the_phase_that_grew_most_comes_first() -> None:
    before, after = picture([seen(10, {"pool": 1})]), picture([seen(90, {"pool": 50, "back": 3})])
    assert [name for name, _, _ in grown(before, after)[:2]] == ["pool", "back"]


IDLE = {"database": 10.0, "held": 11.0, "run": 12.0}


@pytest.mark.parametrize(
    ("limits", "phases", "changes", "name"),
    [
        ({}, {"send_lag": 80}, {}, "client"),
        ({}, {}, used(0.4, 0.4, load=1.95), "client"),
        ({"handler": 1}, {"database": 9.9}, used(0.6, 0.6), "event loop"),
        ({"connections": 8}, {"arrival": 90}, used(1.9, 1.85), "event loop"),
        ({"threads": 8}, {"queue": 90, "run": 90}, used(1.9, 0.6), "GIL"),
        ({"threads": 2}, {"queue": 90, "run": 20}, used(0.3, 0.2), "executor threads"),
        ({"connections": 1}, {"pool": 90, "held": 10}, used(0.3, 0.2), "connection pool"),
        (
            {"connections": 1, "threads": 9},
            {"queue": 90, "pool": 80, "run": 90, "held": 10},
            used(0.3, 0.2),
            "connection pool",
        ),
        (
            {"connections": 8},
            {"pool": 90, "database": 60, "held": 70},
            {"connections_active_mean": 7.5, **used(0.3, 0.2)},
            "database",
        ),
        ({}, {"database": 30}, used(0.3, 0.2, postgresql=1.9), "database"),
        ({"workers": 1}, {"queue": 90, "run": 10}, used(0.3, 0.2), "workers"),
        ({"workers": 8}, {"queue": 90, "run": 12}, used(0.6, 0.6, workers=1.3), "workers"),
        ({"workers": 8}, {"queue": 90, "run": 12}, used(0.3, 0.2, broker=0.2), "broker"),
        (
            {"workers": 8},
            {"queue": 90, "run": 12},
            {**used(0.4, 0.3, workers=0.7), "stolen": 0.4},
            "workers",
        ),
        ({}, {"arrival": 90}, {**used(1.1, 1.05), "stolen": 0.4}, "event loop"),
        ({}, {"arrival": 90}, {"loop_lag": Percentiles(9, 5, 5, 50, 99, 99, 99)}, "event loop"),
        ({}, {"python": 90}, {}, "not identified"),
    ],
)
def test_the_bottleneck_is_named_from_the_data(
    limits: dict[str, int], phases: dict[str, float], changes: dict[str, Any], name: str
) -> None:
    steps = [seen(10, IDLE), seen(100, IDLE | phases, p99=400, **changes)]
    found = diagnose(steps, variant(**limits), ONE_EACH)
    assert found.bottleneck == name, found.evidence
    assert any(character.isdigit() for character in found.evidence)


def test_what_was_not_saturated_has_no_bottleneck() -> None:
    found = diagnose([seen(10), seen(100)], variant(), ONE_EACH)
    assert (found.bottleneck, found.evidence) == ("", "not saturated by the loads offered")


def test_the_name_of_the_strategy_does_not_matter() -> None:
    from dataclasses import replace

    steps = [seen(10, IDLE), seen(100, IDLE | {"pool": 90}, p99=400)]
    made = [
        diagnose(steps, replace(variant(connections=1), label=name, strategy=name), ONE_EACH)
        for name in ("blocking", "celery", "native")
    ]
    assert len(set(made)) == 1
