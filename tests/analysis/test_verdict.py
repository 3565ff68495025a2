"""Sentences: a winner is named only where one was measured."""

from __future__ import annotations

from typing import Any

import pytest

from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.analysis.verdict import decide
from tests.factories import LATE, end, manifest, step

LOADS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0)


def comparison(capacities: dict[str, float], **changes: Any) -> Comparison:
    steps = [
        step(name, load, p99=20 if load <= top else 400, **changes)
        for name, top in capacities.items()
        for load in LOADS
        if load <= top + 100
    ]
    (made,) = compare_scenarios(manifest(tuple(capacities)), steps_table(steps), [])
    return made


def test_a_clear_winner_is_named_with_by_how_much() -> None:
    verdict = decide(comparison({"native": 500, "blocking": 100}), blocks=1)
    assert verdict.best == ("native",)
    assert verdict.sentence == "use native: it carries 500/s, against blocking 100/s (20%)"
    assert verdict.sound


def test_a_step_of_the_ladder_apart_is_level_when_measured_once() -> None:
    verdict = decide(comparison({"native": 500, "executor": 400, "blocking": 100}), blocks=1)
    assert verdict.best == ("native", "executor")
    assert "native and executor are level: they carry 400 to 500/s, against" in verdict.sentence
    assert "measured once" in verdict.sureness


def test_over_blocks_overlapping_intervals_are_level() -> None:
    steps = [
        step(name, load, block=block, p99=20 if load <= top else 400)
        for name, tops in {
            "native": (400, 500, 400, 500),
            "executor": (400, 400, 500, 400),
            "blocking": (100,) * 4,
        }.items()
        for block, top in enumerate(tops)
        for load in LOADS
    ]
    (made,) = compare_scenarios(
        manifest(("native", "executor", "blocking")), steps_table(steps), []
    )
    verdict = decide(made, blocks=4)
    assert set(verdict.best) == {"native", "executor"}
    assert "4 blocks" in verdict.sureness


def test_nobody_wins_where_nothing_was_carried() -> None:
    steps = [step("native", 100, p99=400), step("executor", 100, p99=500)]
    (made,) = compare_scenarios(manifest(), steps_table(steps), [])
    verdict = decide(made, blocks=1)
    assert verdict.best == ()
    assert "no variant carried even the lowest offered load" in verdict.sentence
    assert not verdict.sound


def test_one_variant_alone_is_not_called_the_best() -> None:
    verdict = decide(comparison({"native": 300}), blocks=1)
    assert verdict.sentence == "native carries 300/s; there is nothing to compare it with"


def test_an_open_ladder_says_at_least() -> None:
    steps = [step(name, load) for name in ("native", "executor") for load in LOADS]
    (made,) = compare_scenarios(manifest(), steps_table(steps), [])
    verdict = decide(made, blocks=1)
    assert "at least 600/s" in verdict.sentence
    assert "the ladder ended before" in verdict.sureness


def test_a_verdict_on_invalid_steps_is_not_sound() -> None:
    steps = [
        step("native", 100),
        step("native", 200, valid=False, reasons=(LATE,)),
        step("executor", 100),
        step("executor", 200, p99=400),
    ]
    (made,) = compare_scenarios(manifest(), steps_table(steps), [])
    verdict = decide(made, blocks=1)
    assert not verdict.sound
    assert "NOT SOUND" in verdict.sureness
    assert "sent late" in verdict.sureness


def test_a_variant_that_did_not_run_is_named() -> None:
    steps = [step("native", load, p99=20 if load < 300 else 400) for load in LOADS]
    (made,) = compare_scenarios(
        manifest(("native", "celery")), steps_table(steps), [end("celery", failure="x")]
    )
    assert "not run: celery" in decide(made, blocks=1).sureness


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_reasons_compare_at_the_common_load(blocks: int) -> None:
    verdict = decide(comparison({"native": 500, "blocking": 100}), blocks)
    assert verdict.why.startswith(
        "At 200/s, where all were measured: p99 (ms): native 20, blocking 400"
    )


def test_a_variant_that_carried_nothing_is_named_with_the_load_it_failed_at() -> None:
    steps = [step("native", load, p99=20 if load < 300 else 400) for load in LOADS]
    (made,) = compare_scenarios(
        manifest(("native", "blocking")), steps_table([*steps, step("blocking", 100, p99=400)]), []
    )
    assert decide(made, blocks=1).sentence.endswith("against blocking not even 100/s")


def test_a_best_that_is_dear_says_so() -> None:
    from asyncdb_bench.records.step import Usage

    steps = [
        step(name, load, p99=20 if load <= top else 400, usage={"app": Usage(cpu, 60, 50, 1)})
        for name, top, cpu in (("celery", 500, 2.0), ("native", 300, 0.5))
        for load in LOADS
        if load <= top + 100
    ]
    (made,) = compare_scenarios(manifest(("celery", "native")), steps_table(steps), [])
    verdict = decide(made, blocks=1)
    assert verdict.best == ("celery",)
    assert verdict.sentence.endswith("native 300/s (60%); celery takes 4.0 x the CPU of native")


def test_measured_once_a_third_apart_is_level_and_over_blocks_it_is_not() -> None:
    once = decide(comparison({"native": 600, "executor": 400}), blocks=1)
    assert set(once.best) == {"native", "executor"}
    steps = [
        step(name, load, block=block, p99=20 if load <= top else 400)
        for name, top in (("native", 600), ("executor", 400))
        for block in range(4)
        for load in (*LOADS, 700.0)
    ]
    (made,) = compare_scenarios(manifest(), steps_table(steps), [])
    assert decide(made, blocks=4).best == ("native",)


def test_among_the_level_it_says_what_decides_where_capacity_does_not() -> None:
    from asyncdb_bench.records.step import Percentiles, Usage

    steps = [
        step(
            name,
            load,
            p99=20 if load <= 300 else 400,
            usage={"app": Usage(cpu, 60, 50, 1)},
            loop_lag=Percentiles(100, 1, 1, 2, lag, lag, lag),
        )
        for name, cpu, lag in (("celery", 2.0, 2.0), ("native", 0.5, 9.0))
        for load in LOADS[:4]
    ]
    (made,) = compare_scenarios(manifest(("celery", "native")), steps_table(steps), [])
    assert decide(made, blocks=1).sentence == (
        "celery and native are level: they carry 300/s (of these native takes the least CPU and"
        " celery keeps the loop freest)"
    )
