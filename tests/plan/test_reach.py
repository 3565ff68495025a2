"""How services are reached, as it is asked for; and what cannot run, said beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from asyncdb_bench.errors import KnobError, UsageError
from asyncdb_bench.measure.schedule import RunSchedule
from asyncdb_bench.measure.turns import LaunchOrder, Now
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.reach import is_far, made, reach_of, reaches_of
from asyncdb_bench.plan.request import Choices, parse_specs
from asyncdb_bench.plan.variants import make_variant
from asyncdb_bench.records.plan import Plan, Reach
from asyncdb_bench.whole_run import without_missing


def planned(profile: str = "smoke", far: bool = False, **given: Any) -> Plan:
    overrides = {name: given.pop(name) for name in list(given) if name in ("rtt_ms", "via")}
    return make_plan(Choices(profile, overrides=overrides, far=far, **given), read_profiles())


def first_launch(plan: Plan) -> LaunchOrder:
    order = RunSchedule(plan, {}).next(Now(0.0, 60.0))
    assert isinstance(order, LaunchOrder)
    return order


def test_a_variant_goes_before_a_scenario_and_that_before_the_run() -> None:
    plan = planned(strategies="native,native:rtt=2", scenarios="read,read:rtt=5", rtt_ms=1.0)
    by_label = {each.label: each for each in plan.scenarios}
    plain, own = plan.variants
    assert reach_of(by_label["read"], plain).rtt_ms == 1.0
    assert reach_of(by_label["read:rtt=5"], plain).rtt_ms == 5.0
    assert reach_of(by_label["read:rtt=5"], own).rtt_ms == 2.0
    assert {each.rtt_ms for each in reaches_of(plan)} == {1.0, 2.0, 5.0}


def test_the_harness_sees_to_it_and_the_application_is_not_told() -> None:
    (spec,) = parse_specs("native:rtt=2:pool=3")
    variant = make_variant(spec, 8)
    assert variant.label == "native:rtt=2:pool=3"
    assert variant.knobs["rtt"] == 2.0
    assert "rtt" not in variant.shares[0]
    assert variant.shares[0]["pool"] == 3


def test_it_varies_like_any_knob() -> None:
    plan = planned(strategies="native,executor", vary=("app:rtt=0,0.5,2",))
    found = [(each.strategy, each.knobs["rtt"]) for each in plan.variants]
    assert found == [(name, rtt) for name in ("native", "executor") for rtt in (0.0, 0.5, 2.0)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rtt": 0.05}, "nearer than the proxy can be"),
        ({"rtt": -1}, "outside 0..200"),
        ({"broker_rtt": 0.01}, "nearer than the proxy can be"),
        ({"via": "haproxy"}, "not one of direct, pgbouncer"),
    ],
)
def test_what_cannot_be_had_is_refused_beforehand(given: dict[str, Any], words: str) -> None:
    with pytest.raises(KnobError, match=words):
        made(given, "this run")


def test_the_run_s_own_is_refused_likewise() -> None:
    with pytest.raises(UsageError, match=r"this run:rtt=0\.1 is nearer"):
        planned(rtt_ms=0.1)


def test_quick_is_half_a_millisecond_away_and_looks_at_loopback_beside() -> None:
    plan = planned("quick")
    main = [each for each in plan.scenarios if not each.beside]
    assert [each.label for each in main if not each.place] == ["read", "slow", "mixed"]
    assert {each.reach.rtt_ms for each in main} == {0.5}
    beside = [each for each in plan.scenarios if each.beside]
    assert [(each.label, each.beside) for each in beside] == [
        (f"{name}:rtt=0", name) for name in ("read", "slow")
    ]
    assert all(each.pace_only and each.reach.rtt_ms == 0 for each in beside)


def test_quick_measures_what_more_queries_cost_for_the_model() -> None:
    cells = [each for each in planned("quick").scenarios if each.place]
    assert [(each.asks["queries"], each.asks["ms"]) for each in cells] == [(3, 2), (10, 0)]
    assert all(each.pace_only and each.aside for each in cells)


def test_as_it_is_needs_no_company() -> None:
    assert not [each for each in planned("quick", rtt_ms=0.0).scenarios if each.beside]


def test_to_a_database_far_away_nothing_is_added_but_what_is_asked_for() -> None:
    assert {each.reach.rtt_ms for each in planned("quick", far=True).scenarios} == {0.0}
    asked = planned("quick", far=True, rtt_ms=3.0)
    assert {each.reach.rtt_ms for each in asked.scenarios if not each.beside} == {3.0}


def test_where_a_database_is() -> None:
    assert not is_far("")
    assert not is_far("postgresql://u:p@localhost/db")
    assert not is_far("postgresql://u@127.0.0.2:5432/db")
    assert not is_far("postgresql://u@[::1]/db")
    assert is_far("postgresql://u@db.example.org/db")
    assert is_far("postgresql://u@10.0.0.3/db")


def test_what_needs_a_session_is_not_run_without_one() -> None:
    plan = planned(strategies="native,asyncpg_raw", scenarios="page,page:entities=core")
    by_label = {each.label: each for each in plan.scenarios}
    assert "no session" in by_label["page"].refused["asyncpg_raw"]
    assert not by_label["page:entities=core"].refused
    asked = [order for order in first_launch(plan).asked if order[0] == "asyncpg_raw"]
    assert asked == [("asyncpg_raw", "page:entities=core")]


def test_without_the_pooler_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(strategies="native,native:via=pgbouncer", scenarios="read")
    monkeypatch.setattr("asyncdb_bench.whole_run.find_pooler", lambda: None)
    left = without_missing(plan)
    assert "apt-get install pgbouncer" in left.scenarios[0].refused["native:via=pgbouncer"]
    assert {variant for variant, _ in first_launch(left).asked} == {"native"}
    assert reaches_of(left) == [Reach()]


def test_the_map_is_a_grid_of_which_an_axis_can_be_named() -> None:
    plan = planned("map", scenarios="map:grid=tiny:queries=4")
    places = [
        (each.reach.rtt_ms, each.place["queries"], each.place["ms"]) for each in plan.scenarios
    ]
    assert places == [(0.0, 4, 0.0), (1.0, 4, 0.0)]
    assert all(each.pace_only for each in plan.scenarios)


def test_a_cell_by_itself_is_at_the_runs_distance_and_asked_for_again_stays_one() -> None:
    (cell,) = planned("quick", scenarios="map:grid=one:queries=3:ms=2", rtt_ms=0.5).scenarios
    assert (cell.reach.rtt_ms, cell.asks) == (0.5, {"queries": 3, "ms": 2, "rows": 1})
    (again,) = planned("quick", scenarios=cell.request, rtt_ms=0.5).scenarios
    assert again == cell
