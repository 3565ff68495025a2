"""One block from start to end: all variants launched, turns taken, all ended."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from asyncdb_bench.analysis.step.validity import audit_doubts
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Block, Plan, PlannedScenario, Trial, Variant
from asyncdb_bench.records.step import Step, TrialEnd, end_of
from asyncdb_bench.trial.recording import Recording, RunContext
from asyncdb_bench.trial.turns.contestant import Contestant
from asyncdb_bench.trial.turns.groups import KEPT_MB, groups, needed_mb
from asyncdb_bench.trial.turns.launching import Launching
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
        try:
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
        except ServiceError as error:
            # what all of them need is gone: the load, or the database server
            ended = {end.trial for end in self.ends}
            for trial in self.block.trials:
                if trial.id not in ended:
                    self._fail(trial, error)
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
            end_of(
                trial,
                "failed" if contestant.failure else "turns",
                time.monotonic() - contestant.began,
                failure=contestant.failure,
                audit=recording.audit,
                reasons=tuple(audit_doubts(recording.audit, self.context.settings.tolerance.audit)),
                notes=(*self.notes, *recording.notes),
            ),
        )

    def _append(self, end: TrialEnd) -> None:
        self.context.folder.append_trial(end)
        self.ends.append(end)

    @contextlib.contextmanager
    def _launched(self) -> Iterator[None]:
        """Launch all at once; those that do not get ready have ended."""
        launching = Launching(self.context, self.block, self.variants, self.scenario)
        with contextlib.ExitStack() as stack:
            load, ready = launching.all(stack)
            for trial, error in launching.failed:
                self._fail(trial, error)
            stack.callback(self.warden.watch, ())
            self.warden.watch(
                child.pid
                for _, processes in ready
                for child in (*processes.apps, *processes.workers)
            )
            for trial, processes in ready:
                variant = self.variants[trial.variant]
                recording = Recording(self.context, trial, variant, self.scenario, processes, load)
                stack.enter_context(recording)
                self.alive[trial.variant] = Contestant(trial, recording, self.began)
            stack.callback(self._let_go)
            yield

    def _fail(self, trial: Trial, error: ServiceError) -> None:
        took_s = time.monotonic() - self.began
        self._append(end_of(trial, "failed", took_s, failure=str(error)))

    def _let_go(self) -> None:
        """Leave nothing stopped, whatever happened: what is stopped cannot end in order."""
        for contestant in self.alive.values():
            contestant.stoppable.resume()
