"""The plan: what is asked for is parsed, checked all at once, and ordered fairly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asyncdb_bench.errors import UnknownNameError, UsageError
from asyncdb_bench.plan.planner import estimate_s, make_plan
from asyncdb_bench.plan.profiles import climbs, read_profiles, rung_window_s
from asyncdb_bench.plan.request import Choices, Spec, parse_specs
from asyncdb_bench.records.plan import Objective, PlannedScenario, Segment
from tests.factories import settings

PROFILES = read_profiles()


def planned(**choices: Any) -> Any:
    return make_plan(Choices(**choices), PROFILES)


@pytest.mark.parametrize(
    ("request_text", "specs"),
    [
        ("executor", [Spec("executor", {})]),
        ("executor,native", [Spec("executor", {}), Spec("native", {})]),
        ("executor:threads=32", [Spec("executor", {"threads": "32"})]),
        ("executor:threads=4:uvloop=true", [Spec("executor", {"threads": "4", "uvloop": "true"})]),
        ("executor:threads=4,uvloop=true", [Spec("executor", {"threads": "4", "uvloop": "true"})]),
        ("a/b.py:Mine:size=3,native", [Spec("a/b.py:Mine", {"size": "3"}), Spec("native", {})]),
        (" read , slow:ms=20 ", [Spec("read", {}), Spec("slow", {"ms": "20"})]),
    ],
)
def test_requests_are_parsed(request_text: str, specs: list[Spec]) -> None:
    assert parse_specs(request_text) == specs


@pytest.mark.parametrize("request_text", ["executor:threads", "executor:=3", "threads=3", "a:b="])
def test_requests_that_make_no_sense_are_refused(request_text: str) -> None:
    with pytest.raises(UsageError):
        parse_specs(request_text)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as error:
        planned(strategies="executr,executor:threads=0", scenarios="red", overrides={"blocks": 0})
    lines = str(error.value).splitlines()
    assert len(lines) == 4
    assert "did you mean 'executor'" in str(error.value)
    assert "executor:threads=0 is outside 1..1000 threads" in lines
    assert "did you mean 'read'" in str(error.value)
    assert "blocks=0 is outside 1..1000" in lines


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="known: blog, gate, map, nightly, overload, quick"):
        planned(profile="fast")


def test_every_profile_makes_a_plan() -> None:
    for name in PROFILES:
        plan = planned(profile=name)
        assert plan.variants
        assert plan.scenarios
        assert plan.trials == (), "they are those that a run begins"
        assert estimate_s(plan) > 0


def test_quick_says_six_minutes_and_smoke_a_minute_at_most() -> None:
    assert estimate_s(planned(profile="quick")) <= 360
    assert estimate_s(planned(profile="smoke")) <= 60


def test_the_budget_sets_threads_pool_and_workers() -> None:
    plan = planned(strategies="executor,native,celery,blocking", overrides={"budget": 5})
    assert {variant.budget for variant in plan.variants} == {5}
    executor = next(each for each in plan.variants if each.strategy == "executor")
    assert executor.knobs["threads"] == 5


def test_a_knob_that_changes_the_budget_is_declared() -> None:
    (variant,) = planned(strategies="executor:threads=32").variants
    assert (variant.label, variant.budget) == ("executor:threads=32", 32)


def test_the_same_variant_twice_is_told_apart() -> None:
    plan = planned(strategies="native,native,native")
    assert [each.label for each in plan.variants] == ["native", "native#2", "native#3"]


def test_the_slow_ladder_follows_the_querys_time() -> None:
    asked, _ = planned(profile="standard", scenarios="slow:ms=100").scenarios
    usual, _ = planned(profile="standard", scenarios="slow").scenarios
    assert asked.ladder == pytest.approx([rate / 2 for rate in usual.ladder])
    assert asked.objective.p99_ms == 500


PLAIN = PlannedScenario("s", "read", {}, Objective(100), (1.0,), {})


def test_low_loads_of_a_ladder_get_longer_windows_within_bounds() -> None:
    how = settings(window_s=2, window_max_s=6, min_arrivals=100)
    assert rung_window_s(how, PLAIN, 1000) == 2
    assert rung_window_s(how, PLAIN, 25) == 4
    assert rung_window_s(how, PLAIN, 1) == 6
    shaped = replace(PLAIN, shape=(Segment(1, 1), Segment(2, 10)))
    assert rung_window_s(how, shaped, 1) == 3


def test_what_has_no_pace_climbs_and_all_do_where_ladders_are_asked_for() -> None:
    mixed = planned(strategies="native", scenarios="read,chat,burst")
    climbing = [each.label for each in mixed.scenarios if climbs(mixed.settings, each)]
    assert climbing == ["chat", "burst"]
    asked = planned(strategies="native", scenarios="read", overrides={"ladder": True})
    assert all(climbs(asked.settings, each) for each in asked.scenarios)


def test_one_variant_alone_takes_two_minutes_unless_it_was_asked_for_otherwise() -> None:
    alone = planned(strategies="executor")
    assert estimate_s(alone) <= 120
    both = planned(strategies="executor,native")
    assert both.settings.time_budget_s > alone.settings.time_budget_s
    asked = planned(strategies="executor", overrides={"time_budget_s": 300.0})
    assert asked.settings.time_budget_s == 300


def test_nothing_is_given_up_that_is_within_its_objective() -> None:
    plan = planned(strategies="native", scenarios="slow:ms=5000")
    assert plan.settings.timeout_s >= plan.scenarios[0].objective.p99_ms / 1000
