"""One block from start to end: all variants launched, turns taken, all ended."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from asyncdb_bench.analysis.step.validity import audit_doubts
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.plan.cores import on_cores
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.messages import Ready
from asyncdb_bench.records.plan import Block, Pinning, Plan, PlannedScenario, Trial, Variant
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.trial import kernel
from asyncdb_bench.trial.child import Child
from asyncdb_bench.trial.launch import (
    READY_S,
    STOP_S,
    Family,
    Launch,
    Processes,
    dropped,
    load_config,
)
from asyncdb_bench.trial.recording import Recording, RunContext
from asyncdb_bench.trial.turns.contestant import Contestant
from asyncdb_bench.trial.turns.groups import KEPT_MB, groups, needed_mb
from asyncdb_bench.trial.turns.turn_order import TurnOrder, TurnPlan
from asyncdb_bench.trial.turns.warden import Warden

LONGEST_STOP_S = 20.0
"""A variant that stood for longer is let go on for a moment: brokers drop who is silent for a
minute (AMQP heartbeats)."""


class BlockRunner:
    """Runs blocks with real processes.

    Parameters
    ----------
    context : what all trials share.
    warden : frees what stays stopped if this process is killed.
    """

    def __init__(self, context: RunContext, warden: Warden) -> None:
        self.context = context
        self.warden = warden

    def __call__(
        self, block: Block, plan: Plan, earlier: Sequence[Step]
    ) -> tuple[list[Step], list[TrialEnd]]:
        """Run a block; a variant that breaks is recorded in its end, the others go on.

        Parameters
        ----------
        block : what to run.
        plan : its variants and scenarios.
        earlier : steps of the same scenario in blocks before.

        Raises
        ------
        StoreError : the results cannot be written: nothing more can be kept.
        """
        variants = {each.label: each for each in plan.variants}
        place, scenario = next(
            (place, each)
            for place, each in enumerate(plan.scenarios)
            if each.label == block.scenario
        )
        available_mb = psutil.virtual_memory().available / 1e6
        needs = [needed_mb(variants[trial.variant]) for trial in block.trials]
        steps: list[Step] = []
        ends: list[TrialEnd] = []
        deadline = time.monotonic() + (block.limit_s or math.inf)
        parts = groups(needs, available_mb)
        for group in parts:
            part = replace(block, trials=tuple(block.trials[each] for each in group))
            notes: tuple[Doubt, ...] = ()
            if len(parts) > 1:
                with_whom = ", ".join(trial.variant for trial in part.trials)
                notes = (
                    Doubt(DoubtKind.GROUPED, available_mb, sum(needs) + KEPT_MB, subject=with_whom),
                )
            run = _Group(self.context, self.warden, part, variants, scenario, place, notes)
            part_steps, part_ends, common = run(earlier, deadline)
            steps += part_steps
            ends += part_ends
            block = replace(block, common_rps=block.common_rps or common)
        return steps, ends


class _Group:
    """Those variants of a block that are alive at once."""

    def __init__(
        self,
        context: RunContext,
        warden: Warden,
        block: Block,
        variants: Mapping[str, Variant],
        scenario: PlannedScenario,
        place: int,
        notes: tuple[Doubt, ...] = (),
    ) -> None:
        self.notes = notes
        self.context = context
        self.warden = warden
        self.block = block
        self.variants = variants
        self.scenario = scenario
        self.place = place
        self.began = time.monotonic()
        self.steps: list[Step] = []
        self.ends: list[TrialEnd] = []
        self.alive: dict[str, Contestant] = {}

    def __call__(
        self, earlier: Sequence[Step], deadline: float
    ) -> tuple[list[Step], list[TrialEnd], float]:
        """Run it; return the steps, the ends, and the load common to all."""
        settings, seed = self.context.settings, self.context.seed
        own_seed = (seed, self.block.number, self.place)
        common_rps = 0.0
        with self._launched(), self.context.folder.scratch() as scratch:
            self._warm_up(settings.warmup_s, settings.connections)
            if self.alive:
                # those that did not start have no turns
                trials = tuple(each.trial for each in self.alive.values())
                block = replace(self.block, trials=trials)
                plan = TurnPlan(block, settings, earlier, (*own_seed, block.purpose))
                self._take_turns(plan, own_seed, scratch, deadline)
                common_rps = plan.common_rps
            for contestant in list(self.alive.values()):
                self._end(contestant)
        return self.steps, self.ends, common_rps

    def _take_turns(
        self, plan: TurnPlan, seed: tuple[int, ...], scratch: Path, deadline: float
    ) -> None:
        turns = plan.turns()
        try:
            order = next(turns)
            while not (order.first and order.kind != "idle" and time.monotonic() > deadline):
                order = turns.send(self._turn(order, seed, scratch))
        except StopIteration:
            pass

    def _turn(self, order: TurnOrder, seed: tuple[int, ...], scratch: Path) -> Step | None:
        contestant = self.alive[order.variant]
        others = [each for label, each in self.alive.items() if label != order.variant]
        for each in others:
            if time.monotonic() - each.stopped_at > LONGEST_STOP_S:
                each.resume()
                each.stop()
        try:
            contestant.resume()
            own_seed = (*seed, order.round, sum(order.kind.encode()))
            connections = self.context.settings.connections
            step = contestant.take(order, own_seed, scratch, connections, others)
            contestant.stop()
        except ServiceError as error:
            contestant.failure = str(error)
            self._end(contestant)
            return None
        return step

    def _warm_up(self, seconds: float, connections: int) -> None:
        for contestant in self.alive.values():
            contestant.stop()
        for contestant in list(self.alive.values()):
            try:
                contestant.resume()
                if seconds:
                    seed = (self.context.seed, 999)
                    contestant.warm_up(seconds, connections, seed)
                contestant.stop()
            except ServiceError as error:
                contestant.failure = str(error)
                self._end(contestant)

    def _end(self, contestant: Contestant) -> None:
        """End a variant's processes, and write down how its trial ended."""
        recording, trial = contestant.recording, contestant.trial
        contestant.resume()
        recording.finish()
        self.alive.pop(trial.variant)
        self.steps += recording.steps
        self._append(
            TrialEnd(
                trial=trial.id,
                block=trial.block,
                scenario=trial.scenario,
                variant=trial.variant,
                why="failed" if contestant.failure else "turns",
                seconds=time.monotonic() - contestant.began,
                failure=contestant.failure,
                audit=recording.audit,
                reasons=tuple(audit_doubts(recording.audit, self.context.settings.tolerance.audit)),
                notes=(*self.notes, *recording.notes),
                purpose=trial.purpose,
            ),
        )

    def _append(self, end: TrialEnd) -> None:
        self.context.folder.append_trial(end)
        self.ends.append(end)

    @contextlib.contextmanager
    def _launched(self) -> Iterator[None]:
        """Launch all at once; those that do not get ready have ended."""
        with contextlib.ExitStack() as stack:
            with on_cores(self._everywhere().of("load")):
                load = Child("asyncdb_bench.load", None, self._log("load"), "the load generator")
            stack.callback(load.stop, 0)
            begun = [
                (trial, *found)
                for trial in self.block.trials
                if (found := self._begun(trial, stack)) is not None
            ]
            ready = [
                (trial, launch, processes)
                for trial, launch, family, database in begun
                if (processes := self._ready(trial, launch, family, database)) is not None
            ]
            stack.callback(self.warden.watch, ())
            self.warden.watch(
                child.pid
                for _, _, processes in ready
                for child in (*processes.apps, *processes.workers)
            )
            if ready:
                _, launch, processes = ready[0]
                load.send(load_config(launch, processes.port))
                load.receive(Ready, READY_S)
                pin(load.pid, self.context.pinning, "load")
            for trial, _, processes in ready:
                variant = self.variants[trial.variant]
                recording = Recording(self.context, trial, variant, self.scenario, processes, load)
                stack.enter_context(recording)
                self.alive[trial.variant] = Contestant(trial, recording, self.began)
            stack.callback(self._let_go)
            yield

    def _let_go(self) -> None:
        """Leave nothing stopped, whatever happened: what is stopped cannot end in order."""
        for contestant in self.alive.values():
            contestant.stoppable.resume()

    def _begun(
        self, trial: Trial, stack: contextlib.ExitStack
    ) -> tuple[Launch, Family, str] | None:
        services, variant = self.context.services, self.variants[trial.variant]
        launch = Launch(
            variant=variant,
            scenario=self.scenario,
            name=trial.id,
            queue=f"asyncdb-bench-{self.context.run_id}-{trial.id}",
            timeout_s=self.context.settings.timeout_s,
            outstanding=0,
            pinning=self._everywhere(),
        )
        try:
            data = make_scenario(self.scenario.scenario, self.scenario.knobs).workload().data
            database = services.clone(data, trial.id)
            stack.callback(services.clean, launch.queue)
            stack.callback(dropped, services, database)
            family = Family(launch, self.context.folder.logs)
            stack.push(lambda kind, *_: family.stop(0 if kind is not None else STOP_S))
            family.begin(services, database)
        except ServiceError as error:
            self._never_started(trial, error)
            return None
        # the load needs to know how much it may keep under way
        return replace(launch, outstanding=self.context.settings.outstanding), family, database

    def _ready(
        self, trial: Trial, launch: Launch, family: Family, database: str
    ) -> Processes | None:
        try:
            processes = family.ready(database)
        except ServiceError as error:
            self._never_started(trial, error)
            family.stop(0)
            return None
        for role, children in (("app", processes.apps), ("workers", processes.workers)):
            for child in children:
                pin(child.pid, self.context.pinning, role)
        return processes

    def _everywhere(self) -> Pinning:
        """Return all cores for each role: starting is faster so, and is not measured."""
        given = self.context.pinning.cores
        cores = tuple(sorted({core for each in given.values() for core in each}))
        return Pinning(dict.fromkeys(given, cores))

    def _never_started(self, trial: Trial, error: ServiceError) -> None:
        end = TrialEnd(
            trial=trial.id,
            block=trial.block,
            scenario=trial.scenario,
            variant=trial.variant,
            why="failed",
            seconds=time.monotonic() - self.began,
            failure=str(error),
            purpose=trial.purpose,
        )
        self._append(end)

    def _log(self, role: str) -> Path:
        first = self.block.trials[0].id
        return self.context.folder.logs / f"{first}-{role}.log"


def pin(pid: int, pinning: Pinning, role: str) -> None:
    """Put a process, its children and all their threads on their role's cores.

    They start on all cores, which is faster, and go to their own before they are measured.
    """
    cores = pinning.of(role)
    if not cores:
        return
    for process in kernel.tree([pid]):
        for thread in kernel.threads(process.pid):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, cores)
