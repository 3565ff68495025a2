"""The reader's own case: answered from what was measured, else by the model, else not."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.advice import (
    Advice,
    AdvisedCell,
    AdvisedWay,
    Advising,
    Ask,
    advise,
    estimates,
    grid,
    impatient_rps,
)
from asyncdb_bench.analysis.decision import Sure
from asyncdb_bench.analysis.pace_model import Case, Way

POOLED = (0.6, 0.25, 2.0, 0.3, 0.5)
HELD = (0.5, 0.15, 2.0, 0.1, 0.5)
OVER_BROKER = (4.0, 0.5, 2.0, 0.5, 0.5)
CASES = [
    Case(rtt_ms, queries, ms)
    for rtt_ms, queries, ms in itertools.product((0.1, 0.5), (1, 10), (0, 50))
]


def way(name: str, model: tuple[float, ...], at_once: int = 8, **more: Any) -> AdvisedWay:
    values: dict[str, Any] = {
        "resource": "connections", "share": 0.8, "lag_ms": 2.0, "holds_loop": False, "parts": (),
        "broker": False,
    }  # fmt: skip
    return AdvisedWay(name=name, at_once=at_once, model=model, **(values | more))


WAYS = (
    way("pooled", POOLED),
    way("blocking", HELD, 1, resource="processes", holds_loop=True),
    way("celery", OVER_BROKER, parts=("2 worker", "a broker"), broker=True),
)


def known(error: float = 0.05, ways: tuple[AdvisedWay, ...] = WAYS) -> Advising:
    cells = tuple(
        AdvisedCell(
            rtt_ms=case.rtt_ms, queries=case.queries, ms=case.ms, rows=1, scenario=f"s{place}",
            paces={
                each.name: (Way(each.name, each.at_once, *each.model).pace(case, 32), 0.03)
                for each in ways
                if each.model
            },
            errors={each.name: error for each in ways if each.model},
        )
        for place, case in enumerate(CASES)
    )  # fmt: skip
    return Advising(
        ways=ways, cells=cells, connections=32, strategies="pooled,blocking,celery", rtt_ms=0.5
    )


def test_what_was_measured_needs_no_model() -> None:
    found = advise(known(), Ask(rtt_ms=0.5, queries=1, ms=0, rps=100))
    assert found.use == ("pooled",)
    assert found.sure is Sure.KNOWN
    assert "measured" in found.because


def test_between_the_cells_the_model_answers_with_its_error() -> None:
    found = advise(known(), Ask(rtt_ms=0.3, queries=3, ms=5, rps=100))
    assert found.use == ("pooled",)
    assert "± 5% by the model" in found.because
    assert found.pace is not None
    assert found.pace[0] == pytest.approx(Way("", 8, *POOLED).pace(Case(0.3, 3, 5), 32))


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        (Ask(rtt_ms=5), "round trip, ms: 5 asked, 0.1 to 0.5 measured"),
        (Ask(queries=50), "queries a request: 50 asked, 1 to 10 measured"),
        (Ask(ms=200), "time of a query, ms: 200 asked, 0 to 50 measured"),
        (Ask(rows=1000), "rows of a query: 1,000 asked, 1 to 1 measured"),
    ],
)
def test_outside_of_what_was_measured_it_says_so_and_how_to_measure_it(ask: Ask, word: str) -> None:
    found = advise(known(), ask)
    assert found.use == ()
    assert found.sure is Sure.OPEN
    assert word in found.because
    assert found.measure.startswith("bench.py run --strategy pooled,blocking,celery --scenario ")
    assert f"--rtt {ask.rtt_ms:g}" in found.measure


def test_a_distance_that_was_asked_for_and_not_quite_met_is_within_what_was_measured() -> None:
    ways = known()
    near = tuple(
        msgspec.structs.replace(each, rtt_ms=0.42 if each.rtt_ms == 0.5 else each.rtt_ms)
        for each in ways.cells
    )
    found = advise(msgspec.structs.replace(ways, cells=near), Ask(rtt_ms=0.5, ms=5))
    assert found.use == ("pooled",)


def test_a_model_that_does_not_fit_is_not_offered() -> None:
    found = advise(known(error=0.6), Ask(rtt_ms=0.3, queries=3, ms=5))
    assert found.use == ()
    assert "not offered" in found.because
    alone = tuple(msgspec.structs.replace(each, model=()) for each in WAYS)
    assert advise(known(ways=alone), Ask(rtt_ms=0.3, queries=3, ms=5)).use == ()


def test_what_its_error_does_not_keep_apart_is_not_known() -> None:
    twin = msgspec.structs.replace(WAYS[0], name="twin", model=(0.62, 0.25, 2.0, 0.3, 0.5))
    found = advise(known(ways=(*WAYS, twin)), Ask(rtt_ms=0.3, queries=3, ms=5))
    assert set(found.use) == {"pooled", "twin"}
    assert found.sure is Sure.OPEN


def test_with_websockets_who_freezes_the_loop_is_left_out_and_named() -> None:
    only = known(ways=(WAYS[1], WAYS[2]))
    free = advise(only, Ask(rtt_ms=0.5, queries=1, ms=50, rps=5))
    assert free.use
    found = advise(only, Ask(rtt_ms=0.5, queries=1, ms=50, rps=5, websockets=True))
    assert found.use == ("celery",)
    assert any("freeze the loop: blocking (52" in note for note in found.notes)
    none = advise(known(ways=(WAYS[1],)), Ask(rtt_ms=0.5, ms=50, rps=5, websockets=True))
    assert none.use == ()
    assert "freeze the loop" in none.because


def test_a_celery_that_is_there_already_costs_nothing() -> None:
    alone = known(ways=(WAYS[2],))
    assert advise(alone, Ask(rtt_ms=0.5, ms=0)).costs == "2 worker, a broker"
    assert advise(alone, Ask(rtt_ms=0.5, ms=0, celery=True)).costs == "nothing"


def test_a_load_beyond_all_says_how_many_processes_would_carry_it() -> None:
    found = advise(known(), Ask(rtt_ms=0.5, queries=1, ms=0, rps=5000))
    assert found.use == ()
    assert found.sure is Sure.KNOWN
    assert any("processes on as many cores would" in note for note in found.notes)


def test_more_processes_multiply_and_say_that_it_was_not_measured() -> None:
    ask = Ask(rtt_ms=0.5, queries=1, ms=0, rps=3000, cores=4, processes=4)
    found = advise(known(), ask)
    assert found.use == ("pooled",)
    assert any("multiplied by 4: not measured" in note for note in found.notes)
    assert "--vary app:processes=1,4" in found.measure
    few = advise(known(), msgspec.structs.replace(ask, cores=1, rps=10))
    assert "more processes than cores add nothing" in few.notes


def test_the_patience_of_clients_matters_from_a_load_on_that_is_near_the_pace() -> None:
    ask = Ask(rtt_ms=0.5, queries=1, ms=0, rps=100)
    assert not any("give up" in note for note in advise(known(), ask).notes)
    told, loads = {}, []
    for ms in (0.5, 50, 500, 5000):
        found = advise(known(), msgspec.structs.replace(ask, patience_ms=ms))
        told[ms] = [note for note in found.notes if "give up" in note or "overload" in note]
        top = next(e for e in estimates(known(), ask.case)[0] if e.way.name == found.use[0])
        loads.append(impatient_rps(top, msgspec.structs.replace(ask, patience_ms=ms)))
        assert found.pace is not None
        assert loads[-1] is None or loads[-1] < found.pace[0]
    assert told[0.5][0] == "clients who wait 0.5 ms give up, one in a hundred or more, at any load"
    assert "clients who wait 500 ms give up from" in told[500][0]
    assert told[500][1] == "in an overload: not measured: bench.py run --scenario overload"
    assert loads[0] is None
    assert loads[1] is not None
    assert loads[2] is not None
    assert loads[1] < loads[2] < (loads[3] or 0)
    overloaded = tuple(msgspec.structs.replace(each, overload=(2.0, 0.912)) for each in WAYS)
    found = advise(known(ways=overloaded), msgspec.structs.replace(ask, patience_ms=500))
    assert any("pooled answered 0.91 of what its pace allows" in note for note in found.notes)


def test_a_run_without_work_of_one_kind_has_no_answer_and_no_table() -> None:
    empty = Advising(ways=WAYS, cells=(), connections=32, strategies="", rtt_ms=0)
    assert advise(empty, Ask()).use == ()
    assert grid(empty) == []


def test_the_table_stays_within_what_was_measured() -> None:
    answers = grid(known())
    assert len(answers) >= 6
    assert not any("not measured" in advice.because for _, advice in answers)


@given(
    st.floats(0.1, 0.5),
    st.integers(1, 10),
    st.floats(0, 50),
    st.floats(1, 2000),
    st.booleans(),
)
def test_more_load_never_makes_an_answer_out_of_none(
    rtt_ms: float, queries: int, ms: float, rps: float, websockets: bool
) -> None:
    ask = Ask(rtt_ms=rtt_ms, queries=queries, ms=ms, rps=rps, websockets=websockets)
    more = msgspec.structs.replace(ask, rps=rps * 2)
    found: Advice = advise(known(), ask)
    twice = advise(known(), more)
    assert set(twice.use) <= {each.way.name for each in estimates(known(), ask.case)[0]}
    assert found.use or not twice.use


def test_a_round_trip_is_the_one_that_was_measured() -> None:
    """Cells that asked for the same distance have one place, however their measurements stray."""
    from asyncdb_bench.analysis.advice import make_advising
    from asyncdb_bench.records.plan import Reach
    from asyncdb_bench.records.step import RoundTrip
    from tests.analysis.test_pace_map import FAR, cell, measured

    cells = [(cell(0.5, queries), FAR) for queries in (1, 3)]
    cells = [
        (replace(each, asks={"queries": each.place["queries"], "ms": 0}), p) for each, p in cells
    ]
    made, found = measured(cells)
    assert {each.reach for each in made.plan.scenarios} == {Reach(0.5)}
    trips = ((RoundTrip("database", 0.5, 0.52, 0.52),), (RoundTrip("database", 0.5, 0.6, 0.6),))
    strayed = [replace(each, round_trips=own) for each, own in zip(found, trips, strict=True)]
    (place,) = {each.rtt_ms for each in make_advising(made.plan, strayed).cells}
    assert place == pytest.approx(0.56)
