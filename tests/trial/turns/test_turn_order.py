"""Which turn is next: kinds, loads and their order, without any process."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from asyncdb_bench.records.plan import Block, Trial
from asyncdb_bench.records.step import Step, Turn
from asyncdb_bench.trial.turns.turn_order import TurnOrder, TurnPlan, common_load
from tests.factories import LATE, settings, step

PACES = {"native": 1000.0, "executor": 1500.0, "celery": 200.0}


def answered(order: TurnOrder, **changes: Any) -> Step:
    load = order.load_rps or PACES[order.variant]
    turn = Turn(order.kind, order.round, share=order.share)
    return step(order.variant, load, turn=turn, holds=load < 0.9 * PACES[order.variant], **changes)


def taken(block: Block, lost: str = "", **changes: Any) -> list[TurnOrder]:
    """Take all turns of a block; a variant may be lost in its first."""
    orders = []
    turns = TurnPlan(block, settings(**changes), [], (1,)).turns()
    try:
        order = next(turns)
        while True:
            orders.append(order)
            order = turns.send(None if order.variant == lost else answered(order))
    except StopIteration:
        return orders


def block(number: int = 0, **changes: Any) -> Block:
    trials = tuple(Trial(f"t{n}", number, name, "read") for n, name in enumerate(PACES))
    return Block(trials, **changes)


def test_every_variant_has_its_pace_in_each_round_and_one_rest() -> None:
    orders = taken(block(rounds=4))
    counts = Counter((order.variant, order.kind) for order in orders)
    for name in PACES:
        assert counts[name, "pace"] == 4
        assert counts[name, "idle"] == 1
        assert counts[name, "limit"] == counts[name, "share"] == 1
    assert counts["native", "common"] == 2


def test_a_kind_goes_round_all_before_the_next_begins() -> None:
    orders = taken(block(rounds=4))
    groups: list[list[str]] = []
    for order in orders:
        if order.first:
            groups.append([])
        groups[-1].append(order.kind)
    assert all(len(set(group)) == 1 for group in groups)
    assert [groups[0][0], groups[1][0]] == ["idle", "pace"], "loads are shares of the pace"


def test_the_order_is_random_and_follows_from_the_seed() -> None:
    def firsts(seed: int) -> list[str]:
        plan = TurnPlan(block(rounds=9), settings(), [], (seed,))
        turns, found = plan.turns(), []
        try:
            order = next(turns)
            while True:
                found += [order.variant] * order.first
                order = turns.send(answered(order))
        except StopIteration:
            return found

    assert firsts(1) == firsts(1)
    assert len(set(firsts(1))) == 3


def test_the_common_load_is_half_of_the_slowest_that_is_not_far_behind() -> None:
    orders = taken(block(rounds=2))
    common = {order.variant: order.load_rps for order in orders if order.kind == "common"}
    # celery is far behind and not asked for what it cannot carry
    assert common == {"native": 398, "executor": 398}
    assert common_load([1000, 1500, 900]) == 398
    assert common_load([20, 19]) == pytest.approx(7.9, abs=0.1)
    assert common_load([]) == 0


def test_own_loads_follow_the_own_pace() -> None:
    orders = taken(block(rounds=4), shares=(0.5,))
    for order in orders:
        if order.kind in ("limit", "share"):
            assert order.share is not None
            assert order.load_rps == pytest.approx(order.share * PACES[order.variant])
    assert {order.share for order in orders if order.kind == "share"} == {0.5}


def test_the_limit_is_tried_where_it_seems_to_be() -> None:
    orders = taken(block(rounds=40))
    last = [order.share for order in orders if order.kind == "limit"][-3:]
    assert all(share == pytest.approx(0.9, abs=0.06) for share in last if share)


def test_blocks_that_are_given_a_common_load_ask_for_it() -> None:
    orders = taken(block(number=3, common_rps=250))
    assert {order.load_rps for order in orders if order.kind == "common"} == {250}


def test_who_ends_loses_its_place_and_the_others_go_on() -> None:
    orders = taken(block(rounds=2), lost="native")
    counts = Counter(order.variant for order in orders)
    assert counts["native"] == 1
    assert counts["executor"] > 4


def test_a_pace_that_was_not_sound_sets_no_load() -> None:
    plan = TurnPlan(block(rounds=2), settings(), [], (1,))
    turns = plan.turns()
    order = next(turns)
    kinds = set()
    try:
        while True:
            kinds.add(order.kind)
            order = turns.send(answered(order, valid=False, reasons=(LATE,)))
    except StopIteration:
        assert kinds == {"idle", "pace"}


def test_a_gate_asks_for_pace_and_common_load_alone() -> None:
    orders = taken(block(rounds=3, kinds=("pace", "common")))
    assert {order.kind for order in orders} == {"idle", "pace", "common"}


def test_the_window_of_a_closed_loop_begins_at_a_random_place() -> None:
    orders = taken(block(rounds=8))
    leads = {order.round: order.lead_s for order in orders if order.kind == "pace"}
    assert len(set(leads.values())) == 8
    assert {order.lead_s == leads[order.round] for order in orders if order.kind == "pace"} == {
        True
    }, "the same for all of a round"


def test_few_arrivals_make_the_window_longer_up_to_three_turns() -> None:
    orders = taken(block(common_rps=10, number=1))
    assert {order.window_s for order in orders if order.kind == "common"} == {2.0}
    orders = taken(block(common_rps=2, number=1))
    assert {order.window_s for order in orders if order.kind == "common"} == {3.0}
