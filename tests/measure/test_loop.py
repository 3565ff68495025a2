"""The loop of a run on made-up processes: what is lost, what is kept, and that it ends."""

from __future__ import annotations

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.analysis.values import not_measured
from asyncdb_bench.errors import ServiceError, UnsupportedError
from asyncdb_bench.measure import loop as loops
from asyncdb_bench.measure.launch import Launch, Processes
from asyncdb_bench.measure.launching import Failed, Launching
from asyncdb_bench.measure.loop import MeasureLoop
from asyncdb_bench.measure.recording import Recording
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.measure.schedule import FIRST_ROUNDS, RunSchedule
from asyncdb_bench.measure.turns import TurnOrder
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import plan_scenario
from asyncdb_bench.processes.life import PartLostError
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Plan, Segment, Trial
from asyncdb_bench.records.run_folder import make_run_folder
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.services.running import Services
from benchmarks.simulated import Silent, Truth, simulated_step
from tests.factories import manifest, settings

SCENARIOS = ("read", "slow:ms=5", "mixed")
DIED = Doubt(DoubtKind.DIED, subject="the application was killed by SIGKILL")


@dataclass
class World:
    """What happens to made-up processes.

    Parameters
    ----------
    dies : says of a turn what is lost in it; None: nothing.
    starts : says of a launch why it does not start; None: it does.
    """

    dies: Callable[[TurnOrder], PartLostError | None] = lambda _: None
    starts: Callable[[Launch], ServiceError | None] = lambda _: None
    now_s: float = 0.0
    begun: list[Launch] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    recovered: int = 0
    taken: list[TurnOrder] = field(default_factory=list)
    active: set[str] = field(default_factory=set)

    def end(self, name: str) -> None:
        self.ended.append(name)
        self.active.discard(name)


WORLD = World()


class MadeUpLaunching(Launching):
    def start(
        self, launches: Sequence[Launch]
    ) -> tuple[list[tuple[Launch, Processes]], list[Failed]]:
        ready, failed = [], []
        for launch in launches:
            WORLD.begun.append(launch)
            WORLD.now_s += 1
            if error := WORLD.starts(launch):
                failed.append(Failed(launch, error))
            else:
                WORLD.active.add(launch.name)
                end = functools.partial(WORLD.end, launch.name)
                ready.append((launch, Processes((), (), 1, "", launch.queue, end)))
        return ready, failed


class MadeUpVariant:
    """Stands for :class:`asyncdb_bench.measure.running_variant.RunningVariant`."""

    def __init__(
        self,
        context: RunContext,
        launch: Launch,
        processes: Processes,
        trials: Sequence[Trial],
        load: object,
    ) -> None:
        self.context, self.launch, self.processes = context, launch, processes
        self.label = launch.variant.label
        self.pausable = self
        self.refusal, self.paused_at, self.seconds = "", math.inf, 1.0
        self.recordings = {
            asked.label: Recording(context, trial, launch.variant, asked)
            for trial, asked in zip(trials, launch.scenarios, strict=True)
        }

    def __enter__(self) -> MadeUpVariant:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def pause(self) -> None:
        WORLD.active.discard(self.launch.name)

    def resume(self) -> None:
        WORLD.active.add(self.launch.name)

    def take(
        self, order: TurnOrder, seed: tuple[int, ...], scratch: Path, awake: Sequence[str]
    ) -> Step:
        WORLD.now_s += order.lead_s + order.window_s
        WORLD.taken.append(order)
        self.resume()
        assert WORLD.active == {self.launch.name}, "the others stand"
        self.pause()
        if error := WORLD.dies(order):
            raise error
        recording = self.recordings[order.scenario]
        number = len(WORLD.taken)
        step = simulated_step(
            recording.trial, recording.scenario, self.context.settings, Truth(), order, number
        )
        return recording._keep(step)

    def look_at_round_trips(self) -> Mapping[str, Mapping[str, float]]:
        return {}

    def finish(self, _: object) -> list[TrialEnd]:
        self.processes.end()
        return [TrialEnd.of(each.trial, 1.0) for each in self.recordings.values()]

    def lost_end(self, scenario: str, error: PartLostError) -> TrialEnd:
        trial = self.recordings[scenario].trial
        return replace(TrialEnd.of(trial, 1.0, failure=str(error)), reasons=error.doubts)


class Quiet:
    """A load and a clean-up that do nothing."""

    popen: Any = None

    def __init__(self) -> None:
        self.popen, self.watched = self, list[int]()

    def poll(self) -> None:
        return None

    def stop(self, timeout_s: float) -> None:
        pass

    def watch(self, pids: Iterable[int]) -> None:
        self.watched = list(pids)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(globals(), "WORLD", World())
    monkeypatch.setattr(loops, "Launching", MadeUpLaunching)
    monkeypatch.setattr(loops, "RunningVariant", MadeUpVariant)
    monkeypatch.setattr(loops, "load_for", lambda *_: Quiet())
    return WORLD


class NoServices(Services):
    def recover(self) -> None:
        WORLD.recovered += 1


def planned(
    variants: tuple[str, ...] = ("native", "executor", "blocking"),
    scenarios: tuple[str, ...] = SCENARIOS,
    **changes: Any,
) -> Plan:
    plan = manifest(variants).plan
    asked = tuple(plan_scenario(each, {}) for each in parse_specs(",".join(scenarios)))
    how = settings(**({"rounds": 3, "warmup_s": 0.1} | changes))
    return replace(plan, scenarios=asked, settings=how, trials=())


def looped(plan: Plan, folder: Path, budget_s: float = math.inf) -> MeasureLoop[RunSchedule]:
    run = make_run_folder(folder, "run")
    context = RunContext("run", 7, plan.settings, run, NoServices(), lambda _: None)
    quiet: Any = Quiet()
    return MeasureLoop(
        context, RunSchedule(plan, {}), quiet, Silent(), budget_s, lambda: WORLD.now_s
    )


def paces(steps: Iterable[Step]) -> Counter[tuple[str, str]]:
    return Counter(
        (e.variant, e.scenario.partition(":")[0]) for e in steps if e.turn.kind == "pace"
    )


def lost(*, shared: bool = False) -> PartLostError:
    return PartLostError([DIED], shared=shared)


def at(variant: str, scenario: str, *places: int, shared: bool = False) -> Any:
    """Return what says that a part is lost in some turns at full speed, counted from 0."""
    had: list[TurnOrder] = []

    def dies(order: TurnOrder) -> PartLostError | None:
        if (order.variant, order.scenario, order.kind) != (variant, scenario, "pace"):
            return None
        had.append(order)
        return lost(shared=shared) if len(had) - 1 in places else None

    return dies


def test_one_launch_asks_all_scenarios_and_all_is_ended_and_written_down(
    world: World, tmp_path: Path
) -> None:
    loop = looped(planned(), tmp_path)
    results = loop.run()
    assert [each.variant.label for each in world.begun] == ["native", "executor", "blocking"]
    assert all(len(each.scenarios) == 3 for each in world.begun)
    assert sorted(world.ended) == sorted(each.name for each in world.begun)
    assert set(paces(results.steps).values()) == {3}
    folder = loop.context.folder
    assert folder.steps() == list(results.steps)
    assert folder.trials() == list(results.ends)
    assert len(results.ends) == 9
    assert not (folder.path / "scratch").exists()


def test_who_dies_in_the_middle_of_a_round_is_launched_afresh_and_the_others_go_on(
    world: World, tmp_path: Path
) -> None:
    world.dies = at("native", "slow:ms=5", 1)
    results = looped(planned(), tmp_path).run()
    assert [each.variant.label for each in world.begun][3:] == ["native"]
    counts = paces(results.steps)
    assert counts["native", "slow"] == 3, "anew, as often as was asked for"
    assert all(count >= 3 for count in counts.values())
    ends = {(e.variant, e.scenario): e for e in results.ends if e.trial == world.begun[0].name}
    assert ends["native", "slow:ms=5"].lost
    beside = ends["native", "read"]
    assert [note.kind for note in beside.notes] == [DoubtKind.CUT_SHORT]
    kept = [e for e in results.steps if e.variant == "native" and e.trial == beside.trial]
    assert {e.scenario for e in kept} == {"read", "mixed"}, "what others measured before stands"


def test_who_dies_again_is_not_measured_there_and_everywhere_else(
    world: World, tmp_path: Path
) -> None:
    world.dies = at("native", "read", *range(99))
    results = looped(planned(), tmp_path).run()
    counts = paces(results.steps)
    assert counts["native", "read"] == 0
    assert all(count >= 3 for key, count in counts.items() if key != ("native", "read"))
    assert not_measured(results.ends) == {("measure", "read", "native")}
    assert len(world.begun) == 5


def test_where_a_service_is_lost_all_are_launched_afresh_and_measure_it_again(
    world: World, tmp_path: Path
) -> None:
    world.dies = at("executor", "mixed", 2, shared=True)
    results = looped(planned(), tmp_path).run()
    assert world.recovered == 1
    assert len(world.begun) == 6
    counts = paces(results.steps)
    assert all(counts[name, "mixed"] >= 3 for name in ("native", "executor", "blocking"))
    assert all(count >= 3 for count in counts.values())


@pytest.mark.parametrize("shared", [False, True])
def test_where_every_turn_loses_a_part_it_ends(shared: bool, world: World, tmp_path: Path) -> None:
    world.dies = lambda _: lost(shared=shared)
    results = looped(planned(), tmp_path).run()
    assert results.steps == ()
    assert {key[1:] for key in not_measured(results.ends)} == {
        (scenario, variant)
        for scenario in [each.label for each in planned().scenarios]
        for variant in ("native", "executor", "blocking")
    }
    assert len(world.taken) <= 18
    assert {each.name for each in world.begun} == set(world.ended), "nothing runs on"


def test_where_no_turn_is_ever_sound_it_ends_without_a_budget(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Recording._keep
    monkeypatch.setattr(
        Recording, "_keep", lambda self, step: keep(self, replace(step, valid=False))
    )
    looped(planned(scenarios=("read",), rounds=0, blocks=1), tmp_path).run()
    assert len(world.taken) < 1000


def test_who_does_not_start_is_tried_once_more_and_the_others_go_on(
    world: World, tmp_path: Path
) -> None:
    had: list[Launch] = []

    def starts(launch: Launch) -> ServiceError | None:
        had.append(launch)
        if launch.variant.label == "executor":
            return UnsupportedError("no table")
        return ServiceError("it has ended") if len(had) == 1 else None

    world.starts = starts
    results = looped(planned(), tmp_path).run()
    assert [each.variant.label for each in world.begun].count("native") == 2
    assert [each.variant.label for each in world.begun].count("executor") == 1, "it says why not"
    failures = defaultdict(set)
    for end in results.ends:
        failures[end.variant].add(end.failure)
    assert failures["executor"] == {"no table"}
    assert set(paces(results.steps)) == {
        (name, scenario)
        for name in ("native", "blocking")
        for scenario in ("read", "slow", "mixed")
    }


@pytest.mark.parametrize("after", [0, 1, 40])
def test_an_interruption_keeps_what_was_measured_and_ends_all(
    after: int, world: World, tmp_path: Path
) -> None:
    def dies(_: TurnOrder) -> None:
        if len(world.taken) > after:
            raise KeyboardInterrupt

    world.dies = dies
    loop = looped(planned(rounds=FIRST_ROUNDS), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert len(loop.results.steps) == after == len(loop.context.folder.steps())
    assert not (loop.context.folder.path / "scratch").exists()


def test_the_budget_counts_what_launches_take(world: World, tmp_path: Path) -> None:
    loop = looped(planned(rounds=0), tmp_path, 40)
    results = loop.run()
    assert world.now_s <= 42
    assert set(paces(results.steps)) == {
        (name, scenario)
        for name in ("native", "executor", "blocking")
        for scenario in ("read", "slow", "mixed")
    }


def test_a_ladder_is_climbed_anew_by_all_where_a_service_was_lost(
    world: World, tmp_path: Path
) -> None:
    plan = planned(("native", "executor"), ("read",), ladder=True)
    ladder = (100.0, 200.0, 300.0)
    plan = replace(plan, scenarios=(replace(plan.scenarios[0], ladder=ladder),))
    world.dies = lambda order: lost(shared=True) if len(world.taken) == 5 else None
    results = looped(plan, tmp_path).run()
    climbs = defaultdict(list)
    for step in results.steps:
        climbs[step.variant].append(step.offered_rps)
    assert climbs == {"native": list(ladder), "executor": list(ladder)}


def test_what_has_no_pace_climbs_beside_what_takes_turns(world: World, tmp_path: Path) -> None:
    plan = planned(("native",), ("read", "mixed"))
    read, mixed = plan.scenarios
    mixed = replace(mixed, shape=(Segment(1, 1), Segment(1, 3)), ladder=(10.0, 20.0))
    results = looped(replace(plan, scenarios=(read, mixed)), tmp_path).run()
    kinds = {(step.scenario, step.turn.kind) for step in results.steps}
    assert {kind for scenario, kind in kinds if scenario == mixed.label} == {"rung"}
