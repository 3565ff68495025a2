"""A night's course: pilot, blocks, looks, confirmation, on trials whose truth is made up."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench import night as nights
from asyncdb_bench import store
from asyncdb_bench.gate import Rules, overall
from asyncdb_bench.model import Asked, Percentiles, Step, Trial, TrialEnd, Usage, Variant
from asyncdb_bench.night import Night, Pair, blocks_that_fit, cells_of, focus, pairs_of
from asyncdb_bench.progress import Progress
from tests.factories import manifest, settings, step

RULES = Rules(most=8)
LADDER = (50.0, 100.0, 200.0, 400.0, 800.0)


class World:
    """Stands for the machine: what each variant's p50 and capacity really are.

    Parameters
    ----------
    p50_ms : by label; of those not named 10.
    broken : labels that do not start.
    lasting : head's slowness is gone after so many of its trials; 0: it lasts.
    """

    def __init__(self, p50_ms: dict[str, float], broken: set[str], lasting: int = 0) -> None:
        self.p50_ms, self.broken, self.lasting = p50_ms, broken, lasting
        self.random = random.Random(3)
        self.seen: list[Trial] = []

    def run_trial(
        self, bench: Any, trial: Trial, variant: Variant, asked: Asked, place: int, seconds: float
    ) -> TrialEnd:
        self.seen.append(trial)
        mine = sum(each.variant == trial.variant for each in self.seen)
        end = TrialEnd(trial.id, trial.block, trial.scenario, trial.variant, "top", 1.0)
        if trial.variant in self.broken:
            return replace(end, why="failed", failure="native@base (app) has ended: no such table")
        p50 = self.p50_ms.get(trial.variant, 10.0)
        if self.lasting and mine > self.lasting:
            p50 = 10.0
        for load in trial.ladder or asked.ladder:
            bench.folder.append_step(self._step(trial, load, p50))
            if load > 4000 / p50:
                break
        return end

    def _step(self, trial: Trial, load: float, p50: float) -> Step:
        def varied(value: float) -> float:
            return value * math.exp(self.random.gauss(0, 0.01))

        p50_ms = varied(p50)
        p99 = 900.0 if load > 4000 / p50 else p50_ms * 3
        latency = Percentiles(200, p50_ms, p50_ms, varied(2 * p50), p99, p99, p99)
        return step(
            trial.variant,
            load,
            p99=p99,
            trial=trial.id,
            block=trial.block,
            latency=latency,
            service=latency,
            usage={"app": Usage(varied(load * 0.002), 60, 50, 1)},
            ledger=step(offered=load).ledger,
        )


class Bench:
    """As much of a run's bench as a night needs."""

    def __init__(self, folder: store.RunFolder) -> None:
        self.folder = folder


@pytest.fixture
def folder(tmp_path: Path) -> store.RunFolder:
    return store.make_run_folder(tmp_path, "night")


def run_night(
    world: World, folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch, budget_s: float = 0
) -> Night:
    monkeypatch.setattr(nights, "run_trial", world.run_trial)
    made = manifest(("native", "native@base", "native@base#2"), run_id="night")
    asked = tuple(replace(each, ladder=LADDER) for each in made.plan.scenarios)
    how = settings(blocks=RULES.most, time_budget_s=budget_s)
    plan = replace(made.plan, scenarios=asked, settings=how)
    folder.write_manifest(replace(made, plan=plan))
    head, *base = plan.variants
    night = Night(pairs_of([("native", head)], [base], asked), RULES)
    with open("/dev/null", "w") as out:  # noqa: PTH123 - a sink
        night(Bench(folder), plan, Progress(plan, 1, out), budget_s)  # type: ignore[arg-type]
    return night


def verdicts(night: Night) -> dict[str, str]:
    return {c.figure.name: c.verdict for c in cells_of(night, "never measured")}


def test_nothing_changed_ends_early_and_green(
    folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = run_night(World({}, set()), folder, monkeypatch)
    assert set(verdicts(night).values()) == {"pass"}
    assert night.blocks == RULES.first
    assert night.confirming == 0


def test_a_slower_head_is_red_after_fresh_blocks_agree(
    folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World({"native": 12.5}, set())
    night = run_night(world, folder, monkeypatch)
    assert overall(verdicts(night).values()) == "regress"
    assert verdicts(night)["p50_ms"] == "regress"
    assert verdicts(night)["cpu_ms_per_request"] == "pass"
    (cell,) = [c for c in night.pairs[0].cells.values() if c.figure.name == "p50_ms"]
    assert cell.confirmed
    assert cell.look.ratio == pytest.approx(1.25, abs=0.03)
    assert night.confirming >= RULES.first
    assert folder.manifest().plan.trials == tuple(world.seen), "the manifest says what ran"


def test_a_slowness_that_goes_away_is_not_confirmed(
    folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = run_night(World({"native": 14.0}, set(), lasting=RULES.first), folder, monkeypatch)
    assert verdicts(night)["p50_ms"] == "inconclusive"
    (cell,) = [c for c in night.pairs[0].cells.values() if c.figure.name == "p50_ms"]
    assert "fresh blocks did not agree" in cell.words


def test_every_block_holds_base_twice_and_head_once(
    folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World({}, set())
    run_night(world, folder, monkeypatch)
    for block in range(1, RULES.first + 1):
        labels = sorted(each.variant for each in world.seen if each.block == block)
        assert labels == ["native", "native@base", "native@base#2"]


def test_a_base_that_does_not_start_is_invalid_and_head_is_measured(
    folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World({}, {"native@base", "native@base#2"})
    night = run_night(world, folder, monkeypatch)
    assert set(verdicts(night).values()) == {"invalid"}
    (cell,) = [c for c in night.pairs[0].cells.values() if c.figure.name == "p50_ms"]
    assert "no such table" in cell.words
    assert cell.head_mean == pytest.approx(10, rel=0.05)
    assert sum(each.variant == "native" for each in world.seen) == 1 + RULES.first


def test_where_nothing_is_carried_nothing_is_decided(
    folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World({"native": 1000.0, "native@base": 1000.0}, set())
    night = run_night(world, folder, monkeypatch)
    assert set(verdicts(night).values()) == {"invalid"}
    assert "did not carry even 50/s" in cells_of(night, "")[0].words


def test_a_night_that_is_interrupted_leaves_nothing_open(
    folder: store.RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World({"native": 12.5}, set())
    whole = world.run_trial

    def until(bench: Any, trial: Trial, *rest: Any) -> TrialEnd:
        if trial.block == 3:
            raise KeyboardInterrupt
        return whole(bench, trial, *rest)

    monkeypatch.setattr(world, "run_trial", until)
    stopped: list[Night] = []
    original = Night.__init__

    def remember(self: Night, *given: Any) -> None:
        original(self, *given)
        stopped.append(self)

    monkeypatch.setattr(Night, "__init__", remember)
    with pytest.raises(KeyboardInterrupt):
        run_night(world, folder, monkeypatch)
    monkeypatch.undo()
    assert "open" not in verdicts(stopped[0]).values()
    assert "regress" not in verdicts(stopped[0]).values(), "nothing is red unconfirmed"
    assert folder.manifest().plan.trials


def test_a_blocks_ladder_begins_with_half_of_the_capacity() -> None:
    ladder = focus(500)
    assert ladder[:3] == (251, 251, 251)
    assert list(ladder[3:]) == sorted(ladder[3:])
    assert ladder[3] < 500 < ladder[-1]
    assert min(focus(0.5)) > 0


def test_pilots_that_differ_a_little_lead_to_the_same_loads() -> None:
    assert focus(480) == focus(500) == focus(540)
    assert focus(700) != focus(500)


def test_pairs_are_each_strategy_in_each_scenario() -> None:
    plan = manifest(("a", "b"), ("read", "slow")).plan
    a, b = plan.variants
    pairs = pairs_of([("a", a), ("b", b)], [[a], []], plan.scenarios)
    assert [(p.asked.label, p.strategy, p.base) for p in pairs] == [
        ("read", "a", ("a",)),
        ("read", "b", ()),
        ("slow", "a", ("a",)),
        ("slow", "b", ()),
    ]
    assert not Pair("a", plan.scenarios[0], (), "a").is_open


def test_what_does_not_fit_is_known_beforehand() -> None:
    hour = settings(time_budget_s=3600)
    assert blocks_that_fit(settings(), 9, 9, with_capacity=True) >= 100, "no limit"
    one = blocks_that_fit(hour, 1, 1, with_capacity=True)
    many = blocks_that_fit(hour, 3, 4, with_capacity=True)
    assert one > 10 * many
    assert blocks_that_fit(hour, 3, 4, with_capacity=False) > many
    assert blocks_that_fit(settings(time_budget_s=10), 1, 1, with_capacity=True) == 0
