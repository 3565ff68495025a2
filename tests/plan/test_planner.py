"""The plan: what is asked for is parsed, checked all at once, and ordered fairly."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.errors import UnknownNameError, UsageError
from asyncdb_bench.plan import schedule
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices, Spec, parse_specs
from asyncdb_bench.records.plan import Objective, PlannedScenario, Settings, Variant

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
    with pytest.raises(UnknownNameError, match="known: blog, gate, map, nightly, quick, smoke"):
        planned(profile="fast")


def test_every_profile_makes_a_plan() -> None:
    for name in PROFILES:
        plan = planned(profile=name)
        assert plan.trials
        assert schedule.estimate_s(plan) > 0


def test_quick_says_six_minutes_and_smoke_a_minute_at_most() -> None:
    assert schedule.estimate_s(planned(profile="quick")) <= 360
    assert schedule.estimate_s(planned(profile="smoke")) <= 60


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


variants = st.lists(st.text("abcdefgh", min_size=1), min_size=1, max_size=6, unique=True)


@given(variants, st.integers(1, 4), st.integers(1, 8), st.integers(0, 2**31))
def test_each_block_has_every_variant_once_in_every_scenario(
    labels: list[str], scenarios: int, blocks: int, seed: int
) -> None:
    made = [Variant(label, label, {}, 8) for label in labels]
    asked = [
        PlannedScenario(f"s{n}", "read", {}, Objective(100), (1.0,), {}) for n in range(scenarios)
    ]
    trials = schedule.order(made, asked, blocks, seed)
    counts = Counter((t.block, t.scenario, t.variant) for t in trials)
    assert set(counts.values()) == {1}
    assert len(counts) == len(labels) * scenarios * blocks
    assert len({t.id for t in trials}) == len(trials)
    assert trials == schedule.order(made, asked, blocks, seed)
    assert [t.block for t in trials] == sorted(t.block for t in trials)


def test_the_order_differs_from_block_to_block() -> None:
    made = [Variant(label, label, {}, 8) for label in "abcdef"]
    asked = [PlannedScenario("s", "read", {}, Objective(100), (1.0,), {})]
    trials = schedule.order(made, asked, 20, 1)
    orders = {tuple(t.variant for t in trials if t.block == block) for block in range(20)}
    assert len(orders) > 10


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "profile": "p",
        "blocks": 1,
        "warmup_s": 1,
        "window_s": 2,
        "window_max_s": 6,
        "min_arrivals": 100,
        "drain_s": 2,
        "timeout_s": 5,
        "time_budget_s": 0,
        "budget": 8,
    }
    return Settings(**(values | changes))


PLAIN = PlannedScenario("s", "read", {}, Objective(100), (1.0,), {})


def test_low_loads_get_longer_windows_within_bounds() -> None:
    assert schedule.window_of(settings(), PLAIN, 1000) == 2
    assert schedule.window_of(settings(), PLAIN, 25) == 4
    assert schedule.window_of(settings(), PLAIN, 1) == 6


@given(st.floats(0, 1000), st.integers(1, 100))
def test_shares_of_the_time_left_never_exceed_it(left_s: float, trials: int) -> None:
    assert schedule.trial_share_s(left_s, trials) <= max(left_s, 0)


def test_what_climbs_has_blocks_of_its_own_number() -> None:
    profiles = read_profiles()
    mixed = make_plan(Choices("quick", "native", "read,chat", 1), profiles)
    counts = {name: sum(t.scenario == name for t in mixed.trials) for name in ("read", "chat")}
    assert counts == {"read": mixed.settings.blocks, "chat": 1}
    alone = make_plan(Choices("quick", "native", "read", 1, {"ladder": True}), profiles)
    assert (alone.settings.blocks, len(alone.trials)) == (1, 1)
    asked = {"ladder": True, "blocks": 3, "ladder_blocks": 3}
    three = make_plan(Choices("quick", "native", "read", 1, asked), profiles)
    assert len(three.trials) == 3
