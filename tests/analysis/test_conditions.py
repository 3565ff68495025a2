"""When the answer would change: said where it was measured, silent where it was not."""

from __future__ import annotations

from typing import Any

from asyncdb_bench.analysis.comparison import Comparison, compare_scenarios
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.analysis.verdict import decide
from asyncdb_bench.analysis.verdict_parts import Verdict
from asyncdb_bench.records.step import Percentiles, Step, Usage
from tests.factories import manifest, step

LOADS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0)


def climb(name: str, top: float, cpu_ms: float, lag_ms: float = 2.0, p99: float = 20) -> list[Step]:
    return [
        step(
            name,
            load,
            p99=p99 if load <= top else 400,
            usage={"app": Usage(cpu_ms * load * 2 / 1000, 60, 50, 1)},
            loop_lag=Percentiles(100, 1, 1, 2, lag_ms, lag_ms, lag_ms),
        )
        for load in LOADS
        if load <= top + 100
    ]


def compared(*steps: list[Step]) -> Comparison:
    flat = [each for own in steps for each in own]
    names = tuple(dict.fromkeys(each.variant for each in flat))
    (made,) = compare_scenarios(manifest(names), steps_table(flat), [])
    return made


def said(*steps: list[Step], blocks: int = 1) -> tuple[str, ...]:
    return decide(compared(*steps), blocks).conditions


def test_it_says_who_would_do_with_less_cpu_and_what_that_does_to_the_loop() -> None:
    found = said(climb("native", 500, 1.5), climb("blocking", 200, 1.0, lag_ms=41))
    assert (
        "up to 200/s blocking does it with 1.5 x less CPU (1 against 1.5 ms per request), but holds"
        " up the loop for 41 ms at p99 (instead of 2)" in found
    )


def test_a_small_difference_in_cpu_is_not_told() -> None:
    found = said(climb("native", 500, 1.3), climb("blocking", 200, 1.0))
    assert not any("CPU" in each for each in found)


def test_it_says_up_to_where_the_answer_holds() -> None:
    found = said(climb("native", 500, 1.0), climb("blocking", 200, 1.0))
    assert found[0].startswith("beyond about 500/s no variant of this run holds the objective")
    assert said(climb("native", 600, 1.0), climb("blocking", 200, 1.0))[0] == (
        "the ladder ended at about 600/s: what lies beyond was not asked"
    )


def test_it_says_who_answers_sooner_at_a_low_load_and_who_keeps_the_loop_freer() -> None:
    found = said(
        climb("celery", 500, 1.0, lag_ms=30, p99=40), climb("native", 200, 1.0, lag_ms=3, p99=10)
    )
    assert "at 100/s native answers sooner: p99 10 against 40 ms" in found
    assert (
        "where the loop must stay free for others, native does better up to 200/s: loop lag p99 3"
        " against 30 ms" in found
    )


def test_a_rival_must_be_ahead_of_all_that_are_level() -> None:
    best = [climb("native", 500, 2.0), climb("executor", 500, 1.2)]
    assert not any("CPU" in each for each in said(*best, climb("blocking", 200, 1.0)))
    found = said(*best, climb("blocking", 200, 0.6))
    assert any("2.0 x less CPU (0.6 against 1.2 ms" in each for each in found)


def test_intervals_that_touch_are_no_difference() -> None:
    steps: list[Any] = []
    for name, top, costs in (("native", 500, (1.0, 4.0, 1.2)), ("blocking", 200, (1.0, 1.1, 0.9))):
        for block, cost in enumerate(costs):
            steps += [
                step(
                    name,
                    load,
                    block=block,
                    p99=20 if load <= top else 400,
                    usage={"app": Usage(cost * load * 2 / 1000, 60, 50, 1)},
                )
                for load in LOADS
                if load <= top + 100
            ]
    assert not any("CPU" in each for each in said(steps, blocks=3))


def verdict(scenario: str, *best: str, sound: bool = True) -> Verdict:
    return Verdict(scenario, best, "", "", "", sound, others=("celery",))


def test_badges_tell_validity_replication_and_the_smallest_difference() -> None:
    badges = decide(compared(climb("native", 500, 1.0), climb("blocking", 200, 1.0)), 1).badges
    assert [(each.text, each.warns) for each in badges] == [
        ("measured soundly", False),
        ("measured once, not replicated", True),
        ("smallest difference that would show: 1.5 x", False),
    ]
