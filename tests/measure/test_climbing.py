"""A ladder: which rung is offered next, what an unsound one and a lost part do, and settling."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.measure.climbing import LEAD_S, SETTLE_S, Climbing
from asyncdb_bench.measure.turns import TurnOrder
from asyncdb_bench.records.step import Step
from tests.factories import LATE, manifest, settings, step

LADDER = (50.0, 100.0, 200.0, 400.0, 800.0)
Answer = Callable[[TurnOrder, int], Step | None]


def climbed(answer: Answer, *, gallop: bool = False, **changes: Any) -> list[TurnOrder]:
    """Return the orders of a climb; ``answer`` says what came of each, None: a part was lost."""
    plan = manifest().plan
    asked = replace(plan.scenarios[0], ladder=LADDER, gallop=gallop)
    climbing = Climbing(replace(plan, settings=settings(ladder=True, **changes)))
    orders: list[TurnOrder] = []
    for order in climbing.climb(asked, "native"):
        found = answer(order, len(orders))
        orders.append(order)
        if found is not None:
            climbing.note(found)
        assert len(orders) < 50, "it ends"
    return orders


def missing_above(limit: float) -> Answer:
    return lambda order, _: step(
        "native", order.load_rps, p99=20 if order.load_rps <= limit else 120
    )


def loads(orders: Iterable[TurnOrder]) -> list[float]:
    return [each.load_rps for each in orders]


def test_it_ends_after_two_misses_or_at_the_top_or_far_beyond() -> None:
    assert loads(climbed(missing_above(100))) == [50, 100, 200, 400], "a second miss agrees"
    assert loads(climbed(missing_above(1000))) == list(LADDER)
    far = climbed(lambda e, _: step("native", e.load_rps, p99=20 if e.load_rps < 200 else 400))
    assert loads(far) == [50, 100, 200], "three times the objective: more adds nothing"


@given(st.sampled_from((0.0, *LADDER)))
def test_galloping_finds_the_same_capacity(limit: float) -> None:
    found = loads(climbed(missing_above(limit), gallop=True))
    held = max((load for load in found if load <= limit), default=0)
    assert held == limit
    assert limit == LADDER[-1] or min(load for load in found if load > limit) in LADDER


def test_the_rung_that_was_leapt_over_is_offered_once_the_queue_is_gone() -> None:
    orders = climbed(missing_above(100), gallop=True, warmup_s=0)
    assert loads(orders) == [50, 200, 100]
    assert [each.lead_s for each in orders] == [LEAD_S, LEAD_S, SETTLE_S]


def test_an_unsound_rung_is_offered_once_more_and_then_let_be() -> None:
    def unsound(order: TurnOrder, number: int) -> Step:
        late = order.load_rps == 100
        return step("native", order.load_rps, valid=not late, reasons=(LATE,) if late else ())

    assert loads(climbed(unsound)) == [50, 100, 100, 200, 400, 800]


def test_far_beyond_its_capacity_a_rung_is_not_offered_again_into_its_own_queue() -> None:
    def shed(order: TurnOrder, number: int) -> Step:
        return step("native", order.load_rps, p99=900, valid=False, reasons=(LATE,))

    assert loads(climbed(shed)) == [50]


def test_who_loses_a_part_begins_anew_and_warms_up_again() -> None:
    orders = climbed(
        lambda order, number: None if number == 2 else step("native", order.load_rps), warmup_s=0.7
    )
    assert loads(orders) == [50, 100, 200, *LADDER]
    assert [each.lead_s for each in orders[:4]] == [0.7, LEAD_S, LEAD_S, 0.7]
    assert {each.round for each in orders} == {0}, "the same arrivals as before"
