"""How many of each: Little's law, and a pace that no number of threads can exceed."""

from __future__ import annotations

from asyncdb_bench.analysis.limits import Need, needs
from asyncdb_bench.records.plan import Pinning, Variant
from asyncdb_bench.records.step import Percentiles, Usage
from tests.factories import step

THREADS = Need("executor", "threads", 8, occupied_ms=20.0, cpu_ms=1.0, cores=1)


def test_so_many_are_in_use_as_littles_law_says() -> None:
    assert THREADS.needed(100) == 3
    assert THREADS.needed(35) == 1
    assert THREADS.needed(0.1) == 1


def test_a_pace_is_bounded_by_what_there_is_and_by_the_core() -> None:
    assert THREADS.pace_with(8, 32) == 400
    assert THREADS.pace_with(64, 32) == 1000, "32 connections ask for 1,600/s, one core does 1,000"
    assert THREADS.pace_with(8, 4) == 200


def test_the_least_time_counts_since_waiting_for_others_is_no_need() -> None:
    variant = Variant("executor", "executor", {}, 8, limits={"threads": 8, "connections": 8})

    def loaded(rate: float, run_ms: float) -> object:
        shown = {"run": run_ms, "held": run_ms / 2, "back": 0.1}
        return step(
            "executor",
            rate,
            phases={name: Percentiles(100, each) for name, each in shown.items()},
            usage={"app": Usage(rate * 0.002, 50, 50, 1)},
            lasted_s=2.0,
        )

    found = needs([loaded(100, 20.0), loaded(300, 60.0)], variant, Pinning({"app": (0,)}))  # type: ignore[list-item]
    assert {each.resource: each.occupied_ms for each in found} == {"threads": 20, "connections": 10}
    assert found[0].cpu_ms == 1.0


def test_nothing_measured_says_nothing() -> None:
    assert needs([], Variant("native", "native", {}, 8, limits={"connections": 8}), Pinning()) == ()
