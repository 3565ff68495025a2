"""The model of the pace: bounded as theory says, found again in what it made, honest outside."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.pace_model import Case, Way, fit, mean_value

CASES = [
    Case(rtt_ms, queries, ms)
    for rtt_ms, queries, ms in itertools.product((0.07, 0.5, 2), (1, 3, 10), (0, 5, 50))
]
POOLED = Way("pooled", 8, 0.6, 0.25, 2.0, 0.3, 0.4)
ALONE = Way("alone", 1, 0.7, 0.15, 2.0, 0.1, 0.5)


@given(st.integers(1, 64), st.floats(0.01, 10), st.floats(0, 500), st.floats(0.01, 10))
def test_throughput_lies_within_its_asymptotes(
    inside: int, demand: float, wait: float, more: float
) -> None:
    found = mean_value(inside, demand, wait)
    assert found <= min(1 / demand, inside / (demand + wait)) * (1 + 1e-9)
    assert mean_value(inside + 1, demand, wait) >= found * (1 - 1e-9)
    assert mean_value(inside, demand + more, wait) <= found * (1 + 1e-9)


def test_one_request_at_a_time_takes_what_it_takes() -> None:
    assert mean_value(1, 0.5, 2.0) == pytest.approx(1 / 2.5)
    # D = Z = 1 with two: residence 1.5, throughput 2 / 2.5 (Reiser and Lavenberg's recursion)
    assert mean_value(2, 1.0, 1.0) == pytest.approx(2 / 2.5)


def test_a_way_that_was_made_up_is_found_again() -> None:
    paces = {way.name: {case: way.pace(case, 32) for case in CASES} for way in (POOLED, ALONE)}
    found = fit(paces, {"pooled": 8, "alone": 1}, 32)
    assert found is not None
    for way in (POOLED, ALONE):
        assert found.ways[way.name].trips == pytest.approx(way.trips, abs=0.3)
        assert found.within(way.name) >= 0.9
        between = Case(1.0, 2, 2)
        answer = found.answer(way.name, between)
        assert answer is not None
        assert answer[0] == pytest.approx(way.pace(between, 32), rel=0.05)


def test_outside_of_what_was_measured_it_does_not_answer() -> None:
    paces = {"pooled": {case: POOLED.pace(case, 32) for case in CASES}}
    found = fit(paces, {"pooled": 8}, 32)
    assert found is not None
    assert found.answer("pooled", Case(5.0, 3, 5)) is None
    assert found.answer("pooled", Case(0.5, 50, 5)) is None
    assert found.answer("another", Case(0.5, 3, 5)) is None


def test_where_it_does_not_fit_it_does_not_answer() -> None:
    paces = {case: POOLED.pace(case, 32) for case in CASES}
    # a way of another kind: twice as fast as any closed network where queries are many
    odd = {case: pace * (2 if case.queries == 10 else 1) for case, pace in paces.items()}
    found = fit({"odd": odd}, {"odd": 8}, 32)
    assert found is not None
    assert found.answer("odd", Case(0.5, 10, 50)) is None
    assert found.worst("odd") > 0.15


def test_few_cells_are_not_enough() -> None:
    assert fit({"pooled": dict.fromkeys(CASES[:3], 1.0)}, {"pooled": 8}, 32) is None


def test_more_requests_than_connections_are_never_inside() -> None:
    case = Case(2, 1, 50)
    assert POOLED.pace(case, 4) < POOLED.pace(case, 8) == POOLED.pace(case, 64)
    assert math.isclose(POOLED.pace(case, 4), 2 * POOLED.pace(case, 2), rel_tol=0.05)
