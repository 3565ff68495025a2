"""What a turn asks for: how long, at which load; and who fits into memory at once."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.values import LONGEST_PACE_S
from asyncdb_bench.measure.launching import KEPT_MB, groups_that_fit, needed_mb
from asyncdb_bench.measure.turn_orders import WORKERS_WARM_S, TurnOrders
from asyncdb_bench.measure.turns import (
    ARRIVALS,
    CYCLES,
    LEAST_CYCLES,
    LONGEST_LEAD_S,
    TurnOrder,
    common_load,
    load_window_s,
    pace_lead_s,
    pace_window_s,
)
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.step import Ledger, Turn
from tests.factories import manifest, step, turn

PACES = {"native": 1000.0, "executor": 1500.0, "celery": 200.0}


def orders(**paces: float) -> TurnOrders:
    """Return what makes orders, told of paces."""
    made = TurnOrders(manifest(tuple(PACES)).plan, random.Random(3))
    for name, pace in (paces or PACES).items():
        made.note(TurnOrder(name, "read", "pace", 0, 0.2), step(name, pace))
    return made


def make(made: TurnOrders, name: str, kind: Any, place: int = 0) -> TurnOrder | None:
    return made.make((name, "read"), kind, 1, group="read", compared=list(PACES), place=place)


@given(st.floats(0.1, 1e5), st.integers(1, 64))
def test_a_window_at_full_speed_holds_enough_answers_of_each_connection(
    pace: float, at_once: int
) -> None:
    window = pace_window_s(0.2, pace, at_once)
    longest = max(LONGEST_PACE_S, LEAST_CYCLES * at_once / pace)
    assert 0.2 <= window <= longest * 1.001
    assert window >= longest * 0.999 or window * pace >= CYCLES * at_once * 0.999
    assert 0 < pace_lead_s(pace, at_once, 1.0) <= 1.5 * LONGEST_LEAD_S


def test_workers_behind_a_broker_are_warmed_up_once_in_a_launch() -> None:
    plan = manifest(tuple(PACES)).plan
    variants = tuple(
        replace(each, brokers=("redis",)) if each.label == "celery" else each
        for each in plan.variants
    )
    made = TurnOrders(replace(plan, variants=variants), random.Random(3))

    def lead_s(name: str, scenario: str) -> float:
        order = made.make((name, scenario), "pace", 0, group="a", compared=[])
        assert order is not None
        return order.lead_s

    usual = plan.settings.warmup_s + 1.5 * LONGEST_LEAD_S
    for _ in range(2):
        made.begin_launch()
        assert lead_s("celery", "read") >= WORKERS_WARM_S + plan.settings.warmup_s
        assert lead_s("celery", "slow") <= usual < WORKERS_WARM_S + plan.settings.warmup_s
        assert lead_s("native", "read") <= usual


@given(st.floats(1, 1e5))
def test_a_window_at_a_load_has_enough_arrivals_for_a_p99(load: float) -> None:
    common, limit = load_window_s("common", load), load_window_s("limit", load)
    assert limit >= common
    assert common == 2.0 or common * load >= ARRIVALS * 0.999


def test_the_common_load_is_half_of_the_slowest_that_is_not_far_behind() -> None:
    made = orders()
    found = {name: make(made, name, "common") for name in PACES}
    assert found["celery"] is None, "it is far behind, and not asked for what it cannot carry"
    assert {each.load_rps for each in found.values() if each} == {398}
    made.note(TurnOrder("native", "read", "pace", 1, 0.2), step("native", 100))
    again = make(made, "executor", "common")
    assert again is not None
    assert again.load_rps == 398, "it stays: percentiles of a run are of one load"
    assert common_load([20, 19]) == pytest.approx(7.9, abs=0.1)
    assert common_load([]) == 0


def test_own_loads_are_shares_of_the_own_pace_and_there_is_none_without_one() -> None:
    made = orders(native=1000.0)
    shares = []
    for place in range(4):
        order = make(made, "native", "share", place)
        assert order is not None
        assert order.load_rps == pytest.approx((order.share or 0) * 1000)
        shares.append(order.share)
    assert len(set(shares)) == 4
    assert make(made, "executor", "share") is None
    assert make(made, "executor", "pace") is not None


def test_the_limit_is_tried_where_it_seems_to_be() -> None:
    made, tried = orders(native=1000.0), []
    for number in range(40):
        order = make(made, "native", "limit")
        assert order is not None
        turn = Turn("limit", number, share=order.share)
        made.note(order, step("native", order.load_rps, holds=order.load_rps < 900, turn=turn))
        tried.append(order.share)
    assert all(share == pytest.approx(0.9, abs=0.06) for share in tried[-3:])


def test_the_first_window_of_a_launch_is_warmed_up_for_and_begins_at_a_random_place() -> None:
    made = orders()
    leads = [order.lead_s for _ in range(6) if (order := make(made, "native", "pace"))]
    assert leads[0] > 1.0 > max(leads[1:])
    assert len(set(leads[1:])) == 5
    made.begin_launch()
    first = make(made, "native", "pace")
    assert first is not None
    assert first.lead_s > 1.0


def variant(text: str) -> Variant:
    (spec,) = parse_specs(text)
    return make_variant(spec, 8)


@given(st.lists(st.integers(1, 8), max_size=8), st.integers(1, 3), st.floats(0, 20_000))
def test_variants_go_in_groups_that_fit_and_who_is_too_big_by_itself(
    processes: list[int], copies: int, available: float
) -> None:
    variants = [variant(f"native:processes={count}") for count in processes]
    groups = groups_that_fit(variants, copies, available)
    assert [each for group in groups for each in group] == variants
    for group in groups:
        need = copies * sum(map(needed_mb, group))
        assert len(group) == 1 or need <= available - KEPT_MB
    assert needed_mb(variant("celery")) > 4 * needed_mb(variant("native")), "workers' children"


def test_a_window_without_an_answer_is_followed_by_one_that_is_long_enough() -> None:
    made = TurnOrders(manifest(tuple(PACES)).plan, random.Random(3))
    key = ("native", "read")
    first = made.make(key, "pace", 0, group="read", compared=list(PACES))
    assert first is not None
    assert first.window_s < 1
    # 32 connections, 8 at once, 2 s each: all were answered, after 8 s
    late = turn("native", 0, number=0, ledger=Ledger(32, 32, 0, 0, 0, 0), lasted_s=8.0)
    made.note(first, late)
    then = made.make(key, "pace", 1, group="read", compared=list(PACES))
    assert then is not None
    assert then.window_s == pytest.approx(LEAST_CYCLES * 8 / 4)
    assert made.drains_s(then) == pytest.approx(8)
