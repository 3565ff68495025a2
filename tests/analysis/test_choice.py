"""The decision: what to use, why, at what price, how sure; said only where it was measured."""

from __future__ import annotations

from typing import Any

from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.decision import (
    Choice,
    Sure,
    choice_of,
    felt_sentence,
    whole_sentence,
)
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.analysis.verdict import decide
from asyncdb_bench.records.plan import Part, Variant
from asyncdb_bench.records.step import Percentiles, Usage
from tests.factories import LATE, manifest, step

LOADS = (100.0, 200.0, 300.0, 400.0, 500.0)


def climbed(capacities: dict[str, float], **changes: Any) -> Comparison:
    steps = [
        step(name, load, p99=20 if load <= top else 400, **changes)
        for name, top in capacities.items()
        for load in LOADS
    ]
    (made,) = compare_scenarios(manifest(tuple(capacities)), steps_table(steps), [])
    return made


def chosen(comparison: Comparison, variants: dict[str, Variant] | None = None) -> Choice:
    made = manifest(tuple(comparison.capacities))
    known = variants or {each.label: each for each in made.plan.variants}
    return choice_of(made.plan.scenarios[0], comparison, decide(comparison, 1), known)


def choice(scenario: str, *use: str, **more: Any) -> Choice:
    values: dict[str, Any] = {"because": "", "costs": "nothing", "sure": Sure.KNOWN}
    return Choice(scenario=scenario, work=scenario, use=use, **(values | more))


def test_the_best_is_used_because_the_next_is_slower() -> None:
    found = chosen(climbed({"native": 500, "blocking": 100}))
    assert (found.use, found.sure) == (("native",), Sure.KNOWN)
    assert "blocking 0.20 x" in found.because
    assert found.costs == "nothing"


def test_what_cannot_be_told_apart_is_not_known() -> None:
    found = chosen(climbed({"native": 500, "executor": 400}))
    assert set(found.use) == {"native", "executor"}
    assert found.sure is Sure.OPEN
    assert found.what_then


def test_parts_and_connections_are_the_price() -> None:
    comparison = climbed({"celery": 500, "native": 100})
    variants = {
        "celery": Variant(
            "celery", "celery", {}, 16, parts=(Part("worker", "", {}, 2),), brokers=("rabbitmq",)
        ),
        "native": Variant("native", "native", {}, 8),
    }
    absent = variants | {"other": Variant("other", "other", {}, 1)}
    costs = chosen(comparison, absent).costs
    assert "16 connections instead of 8" in costs
    assert "2 worker" in costs
    assert "a broker" in costs


def test_dearer_cpu_is_the_price() -> None:
    def steps(name: str, top: float, cpu_s: float) -> list[Any]:
        return [
            step(
                name,
                load,
                p99=20 if load <= top else 400,
                usage={"app": Usage(cpu_s, 60, 50, 1)},
            )
            for load in LOADS
        ]

    made = manifest(("native", "blocking"))
    own = [*steps("native", 500, 0.9), *steps("blocking", 300, 0.3)]
    (comparison,) = compare_scenarios(made, steps_table(own), [])
    assert "3.0 x the CPU of blocking" in chosen(comparison).costs


def test_nothing_sound_recommends_nothing() -> None:
    own = [step("native", load, valid=False, reasons=(LATE,)) for load in LOADS]
    (comparison,) = compare_scenarios(manifest(("native",)), steps_table(own), [])
    assert chosen(comparison).sure is Sure.UNSOUND


def test_one_answer_is_said_for_all_only_where_it_leads_or_may_lead_in_each() -> None:
    one = choice("read", "native", "blocking")
    assert whole_sentence([one, choice("slow", "native")]) == "use native throughout"
    assert whole_sentence([one, choice("slow", "executor")]) == (
        "use native or blocking for read, executor for slow"
    )
    maybe = choice("slow", "executor", open=("native",), sure=Sure.OPEN)
    assert whole_sentence([choice("read", "native"), maybe]) == (
        "use native throughout: nothing is known to do better"
    )
    unsound = choice("slow", "native", sure=Sure.UNSOUND)
    assert "not all of it is sound" in whole_sentence([one, unsound])
    assert whole_sentence([one]) == "use native or blocking"
    assert whole_sentence([choice("read", sure=Sure.UNSOUND)]) == ""


def test_what_freezes_the_loop_is_said_as_what_people_feel() -> None:
    lag = Percentiles(2000, 5, 5, 50, 90, 95, 99)
    own = [
        *(step("blocking", load, loop_lag=lag) for load in LOADS),
        *(step("native", load) for load in LOADS),
    ]
    (comparison,) = compare_scenarios(manifest(("blocking", "native")), steps_table(own), [])
    assert felt_sentence([comparison]).startswith(
        "With blocking, everyone else waits 90 ms once in a hundred requests (read"
    )
    assert felt_sentence([climbed({"native": 500})]) == ""
