"""The one loop of a run: launches variants, has them take turns, recovers what is lost, ends them.

What comes next is a schedule's matter, which is pure; how a window is measured is
:class:`asyncdb_bench.measure.running_variant.RunningVariant`'s.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from asyncdb_bench.analysis.values import MOST, standing
from asyncdb_bench.measure.launch import Launch, Processes, load_config, load_for
from asyncdb_bench.measure.launching import Failed, Launching, groups_of_variant, without_scenarios
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.measure.running_variant import RunningVariant
from asyncdb_bench.measure.turns import Key, LaunchOrder, Now, Schedule, TurnOrder
from asyncdb_bench.plan.cores import sharing_groups
from asyncdb_bench.processes.child import Child
from asyncdb_bench.processes.cleanup import Cleanup
from asyncdb_bench.processes.life import PartLostError
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import PlannedScenario, Trial
from asyncdb_bench.records.step import Step, TrialEnd


class Losses:
    """Counts losses in a run, by scenario and variant."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()

    def note(self, scenario: str, variant: str) -> bool:
        """Note a loss; return whether the variant is measured once more."""
        self._count[scenario, variant] += 1
        return self._count[scenario, variant] < MOST

    def out(self, scenario: str, variant: str) -> bool:
        """Return whether a variant is not measured in a scenario any more."""
        return self._count[scenario, variant] >= MOST


LONGEST_PAUSE_S = 20.0
"""A variant that was paused for longer goes on for a moment: brokers drop who is silent for a
minute (AMQP heartbeats)."""
BREATH_S = 0.02


class Display(Protocol):
    """What a run shows while it goes on."""

    def say(self, text: str) -> None:
        """Show one line."""

    def service(self, name: str) -> None:
        """Show that a service is being started."""

    def recall(self, launches: Seen) -> None:
        """Take note of how launches strayed on this machine before."""

    def launch(self, order: LaunchOrder) -> None:
        """Show that variants are being launched."""

    def step(self, step: Step) -> None:
        """Show a turn's figures."""

    def end(self, end: TrialEnd) -> None:
        """Show how a trial ended."""


@dataclass(frozen=True, slots=True)
class Results:
    """What a run has measured: the steps that count, and how the trials ended."""

    steps: tuple[Step, ...] = ()
    ends: tuple[TrialEnd, ...] = ()


S = TypeVar("S", bound=Schedule)


class MeasureLoop(Generic[S]):
    """Does what a schedule says, until it says no more.

    Parameters
    ----------
    context : of the run.
    schedule : what to do.
    cleanup : ends what is left if this process is killed.
    display : told of everything.
    budget_s : seconds that measuring may take; infinity: no limit.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        context: RunContext,
        schedule: S,
        cleanup: Cleanup,
        display: Display,
        budget_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.context = context
        self.schedule = schedule
        self.cleanup = cleanup
        self.display = display
        self.budget_s = budget_s
        self.clock = clock
        self.steps: list[Step] = []
        self.ends: list[TrialEnd] = []
        self.losses = Losses()
        self.alive: dict[Key, RunningVariant] = {}
        self._variants = {each.label: each for each in schedule.plan.variants}
        self._scenarios = {each.label: each for each in schedule.plan.scenarios}
        self._families = 0
        self._began = clock()
        self._order: LaunchOrder | None = None
        self._launched = contextlib.ExitStack()
        self._run = contextlib.ExitStack()
        self._load: Child | None = None
        self._scratch = Path()

    @property
    def results(self) -> Results:
        """What has been measured so far."""
        return Results(tuple(standing(self.steps, self.ends)), tuple(self.ends))

    def run(self) -> Results:
        """Go on until the schedule has no more; what an interruption leaves is in `results`.

        Raises
        ------
        StoreError : the results cannot be written: nothing more can be kept.
        ServiceError : a service does not come back.
        """
        with self.context.folder.scratch() as self._scratch, self._run:
            try:
                while (order := self.schedule.next(self._now())) is not None:
                    for line in self.schedule.news():
                        self.display.say(line)
                    if isinstance(order, LaunchOrder):
                        self._end_launch()
                        self._launch(order)
                    else:
                        self._turn(order)
                self._end_launch()
            finally:
                self._launched.close()
        return self.results

    def _now(self) -> Now:
        spent_s = self.clock() - self._began
        return Now(spent_s, self.budget_s - spent_s)

    # launching

    def _launch(self, order: LaunchOrder) -> None:
        """Launch what an order names; what does not start, also when tried again, has ended."""
        self.display.launch(order)
        self._order, self._launched = order, contextlib.ExitStack()
        launching = Launching(self.context, self._launched)
        launches = list(self._launches(launching, order))
        self._keep_load()
        self._take_in(launching, launches)
        self.schedule.note_launch(order, self._trials())

    def _launches(self, launching: Launching, order: LaunchOrder) -> Iterator[Launch]:
        asked = [self._scenarios[label] for label in self._scenarios]
        groups = sharing_groups(asked)
        for label, variant in self._variants.items():
            for group in groups_of_variant(variant, groups):
                own = tuple(
                    each
                    for each in group
                    if (label, each.label) in order.asked and not self.losses.out(each.label, label)
                )
                if own:
                    yield launching.launch_of(variant, own, self._new_name())

    def _new_name(self) -> str:
        self._families += 1
        return f"t{self._families - 1:03d}"

    def _take_in(self, launching: Launching, launches: Sequence[Launch]) -> None:
        """Start launches, and those that ended meanwhile once more; pause what is ready."""
        ready, failed = launching.start(launches)
        for launch, processes in ready:
            self._watch(launch, processes)
        again = [new for each in failed if (new := self._again(each)) is not None]
        if again:
            ready, failed = launching.start(again)
            for launch, processes in ready:
                self._watch(launch, processes)
            for each in failed:
                self._fail(each)
        self._tell_cleanup()

    def _again(self, failed: Failed) -> Launch | None:
        """Return what is started once more of what ended while it started.

        Raises
        ------
        PartLostError : what all need was lost.
        """
        launch, variant = failed.launch, failed.launch.variant
        lost = self.context.lost_in_start(failed.error, with_broker=bool(variant.brokers))
        if lost is None:
            self._fail(failed)
            return None
        if lost.shared:
            raise lost
        out = [
            each.label
            for each in launch.scenarios
            if not self.losses.note(each.label, variant.label)
        ]
        for trial in self._trials_of(launch):
            end = replace(TrialEnd.of(trial, 0.0, str(lost)), reasons=lost.doubts)
            self._append(end)
        left = without_scenarios(launch, out)
        if left is None:
            return None
        launching = Launching(self.context, self._launched)
        return launching.launch_of(variant, left.scenarios, f"{launch.name}-again")

    def _fail(self, failed: Failed) -> None:
        for trial in self._trials_of(failed.launch):
            self._append(TrialEnd.of(trial, 0.0, failure=str(failed.error)))

    def _watch(self, launch: Launch, processes: Processes) -> None:
        """Take a variant that is ready in, and pause it."""
        load = self._load
        if launch.scenarios[0].websocket:
            # its members stay connected to one application
            load = self._start_load(launch.scenarios, f"{launch.name}-load", processes.port)
            self._launched.callback(load.stop, 0)
        assert load is not None
        running = RunningVariant(self.context, launch, processes, self._trials_of(launch), load)
        self._launched.enter_context(running)
        for each in launch.scenarios:
            self.alive[launch.variant.label, each.label] = running
        running.pause()

    def _trials_of(self, launch: Launch) -> list[Trial]:
        assert self._order is not None
        number, purpose = self._order.number, self._order.purpose
        return [
            Trial(launch.name, number, launch.variant.label, each.label, purpose)
            for each in launch.scenarios
        ]

    def _trials(self) -> list[Trial]:
        return [running.recordings[scenario].trial for (_, scenario), running in self.alive.items()]

    def _keep_load(self) -> None:
        """Start the load, once for the run, and again where it has ended."""
        asked = [each for each in self._scenarios.values() if not each.websocket]
        if not asked or (self._load is not None and self._load.popen.poll() is None):
            return
        if self.context.load_set is not None:
            settings = self.context.settings
            config = load_config(asked, settings.timeout_s, settings.outstanding)
            self._load = self.context.load_set.configure(config)
            return
        self._load = self._start_load(asked, "load")
        self._run.callback(self._load.stop, 0)

    def _start_load(self, scenarios: Sequence[PlannedScenario], name: str, port: int = 0) -> Child:
        context = self.context
        return load_for(
            scenarios,
            context.settings.timeout_s,
            context.settings.outstanding,
            context.folder.logs / f"{name}.log",
            context.pinning.of("load"),
            port,
        )

    # turns

    def _turn(self, order: TurnOrder) -> None:
        """Have a turn taken; where a part is lost, launch afresh what was lost."""
        self._let_breathe(order.variant)
        running = self.alive[order.variant, order.scenario]
        awake = [
            each.label
            for each in dict.fromkeys(self.alive.values())
            if each is not running and each.pausable.refusal
        ]
        try:
            step = running.take(order, self._seed(order), self._scratch, awake)
        except PartLostError as error:
            self.schedule.note_step(order, None)
            self._recover(order, running, error)
        else:
            self.steps.append(step)
            self.schedule.note_step(order, step)

    def _seed(self, order: TurnOrder) -> tuple[int, ...]:
        """Return what arrivals and parameters are drawn by, the same for all of a round."""
        assert self._order is not None
        place = list(self._scenarios).index(order.scenario)
        purpose = int(self._order.purpose == "confirm")
        kind = sum(order.kind.encode())
        load = round(order.load_rps * 10) if order.kind == "rung" else 0
        return (self.context.seed, purpose, self._order.number, place, order.round, kind, load)

    def _let_breathe(self, on_turn: str) -> None:
        """Let those go on for a moment that were paused for long."""
        late = [
            each
            for each in dict.fromkeys(self.alive.values())
            if each.label != on_turn and time.monotonic() - each.paused_at > LONGEST_PAUSE_S
        ]
        for each in late:
            each.resume()
        if late:
            time.sleep(BREATH_S)
        for each in late:
            each.pause()

    # losses

    def _recover(self, order: TurnOrder, running: RunningVariant, error: PartLostError) -> None:
        """Write down what was lost, and launch it afresh where it is measured once more.

        What other scenarios measured before in the same processes stands: their windows were
        complete, and each was audited by itself.
        """
        affected = (
            [
                each
                for each in dict.fromkeys(self.alive.values())
                if order.scenario in each.recordings
            ]
            if error.shared
            else [running]
        )
        self.schedule.note_lost([each.recordings[order.scenario].trial for each in affected])
        for each in affected:
            self.losses.note(order.scenario, each.label)
            if self.losses.out(order.scenario, each.label):
                self._note_out(each.label, order.scenario)
        gone = list(dict.fromkeys(self.alive.values())) if error.shared else [running]
        launches = [launch for each in gone for launch in self._abandon(each, order, error)]
        if error.shared:
            self._launched.close()
            self._launched = contextlib.ExitStack()
            self.context.recover()
            self._keep_load()
        self._take_in(Launching(self.context, self._launched), launches)
        for launch in launches:
            for asked in launch.scenarios:
                if (launch.variant.label, asked.label) not in self.alive:
                    self._note_out(launch.variant.label, asked.label)

    def _abandon(
        self, running: RunningVariant, order: TurnOrder, error: PartLostError
    ) -> Iterator[Launch]:
        """End a variant whose part was lost; yield what is launched in its place."""
        for scenario, recording in running.recordings.items():
            if self.alive.pop((running.label, scenario), None) is None:
                continue
            if scenario == order.scenario:
                self._append(running.lost_end(scenario, error))
            elif recording.steps:
                note = Doubt(DoubtKind.CUT_SHORT, subject=f"{error} (in {order.scenario})")
                end = TrialEnd.of(recording.trial, running.seconds)
                self._append(replace(end, notes=(note,)))
        running.resume()
        running.processes.end()
        out = [each for each in running.recordings if self.losses.out(each, running.label)]
        left = without_scenarios(running.launch, out)
        if left is not None:
            launching = Launching(self.context, self._launched)
            yield launching.launch_of(left.variant, left.scenarios, self._new_name())

    def _note_out(self, variant: str, scenario: str) -> None:
        assert self._order is not None
        self.schedule.note_out(variant, scenario, self._order.purpose)

    # ending

    def _end_launch(self) -> None:
        """End all processes of a launch, and write down how its trials ended."""
        running = list(dict.fromkeys(self.alive.values()))
        if running:
            trips = [each.look_at_round_trips() for each in running]
            with ThreadPoolExecutor(len(running), thread_name_prefix="end") as pool:
                for ends in pool.map(RunningVariant.finish, running, trips):
                    for end in ends:
                        self._append(end)
        self.alive = {}
        self._launched.close()
        self._launched = contextlib.ExitStack()
        self.cleanup.watch(())
        self.context.folder.flush_rows()

    def _append(self, end: TrialEnd) -> None:
        self.context.folder.append_trial(end)
        self.ends.append(end)
        self.display.end(end)

    def _tell_cleanup(self) -> None:
        self.cleanup.watch(
            pid
            for each in dict.fromkeys(self.alive.values())
            for pids in each.processes.here.values()
            for pid in pids
        )
