"""One block from start to end: all variants launched, turns taken, all ended."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psutil

from asyncdb_bench.analysis.step.validity import audit_doubts
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Block, Plan, PlannedScenario, Trial, Variant
from asyncdb_bench.records.step import Step, TrialEnd, end_of
from asyncdb_bench.trial.launch import (
    Processes,
)
from asyncdb_bench.trial.life import PartLostError
from asyncdb_bench.trial.losses import Losses
from asyncdb_bench.trial.recording import Recording
from asyncdb_bench.trial.run_context import RunContext
from asyncdb_bench.trial.turns.contestant import Contestant
from asyncdb_bench.trial.turns.groups import KEPT_MB, groups, needed_mb
from asyncdb_bench.trial.turns.launching import Launching
from asyncdb_bench.trial.turns.turn_order import TurnOrder, TurnPlan
from asyncdb_bench.trial.turns.warden import Warden

T = TypeVar("T")

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
        self.losses = Losses()

    def __call__(
        self, block: Block, plan: Plan, earlier: Sequence[Step]
    ) -> tuple[list[Step], list[TrialEnd]]:
        """Run a block; a variant that breaks is recorded in its end, the others go on.

        A variant that lost a part is launched afresh, once in a scenario; where what all need was
        lost, the block is run once more.

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
        block = self._without_those_out(block)
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
            for attempt in (part, again(part)):
                asked = self._without_those_out(attempt)
                run = _Group(
                    self.context, self.warden, self.losses, asked, variants, scenario, place, notes
                )
                try:
                    common = run(earlier, deadline)
                except PartLostError as error:
                    ends += run.all_lost(error)
                    self.context.recover()
                    continue
                steps += run.steps
                ends += run.ends
                block = replace(block, common_rps=block.common_rps or common)
                break
        return steps, ends

    def _without_those_out(self, block: Block) -> Block:
        """Return a block without the variants that are not measured in its scenario any more."""
        kept = [
            trial for trial in block.trials if not self.losses.out(block.scenario, trial.variant)
        ]
        return replace(block, trials=tuple(kept))


def again(block: Block) -> Block:
    """Return a block with trials of their own, to be run once more."""
    trials = tuple(replace(trial, id=f"{trial.id}-again") for trial in block.trials)
    return replace(block, trials=trials)


class _Group:
    """Those variants of a block that are alive at once."""

    def __init__(
        self,
        context: RunContext,
        warden: Warden,
        losses: Losses,
        block: Block,
        variants: Mapping[str, Variant],
        scenario: PlannedScenario,
        place: int,
        notes: tuple[Doubt, ...] = (),
    ) -> None:
        self.notes = notes
        self.context = context
        self.warden = warden
        self.losses = losses
        self.block = block
        self.scenario = scenario
        self.place = place
        self.variants = variants
        self.began = time.monotonic()
        self.steps: list[Step] = []
        self.ends: list[TrialEnd] = []
        self.alive: dict[str, Contestant] = {}
        self.launching = Launching(context, block, variants, scenario)
        self._stack = contextlib.ExitStack()

    def __call__(self, earlier: Sequence[Step], deadline: float) -> float:
        """Run it; return the load common to all.

        Raises
        ------
        PartLostError : what all of them need was lost.
        """
        settings, seed = self.context.settings, self.context.seed
        own_seed = (seed, self.block.number, self.place)
        common_rps = 0.0
        if not self.block.trials:
            return common_rps
        with self._launched(), self.context.folder.scratch() as scratch:
            for contestant in self.alive.values():
                contestant.stop()
            for contestant in list(self.alive.values()):
                self._kept(contestant, self._warm_up)
            if self.alive:
                # those that did not start have no turns
                trials = tuple(each.trial for each in self.alive.values())
                block = replace(self.block, trials=trials)
                plan = TurnPlan(block, settings, earlier, (*own_seed, block.purpose))
                self._take_turns(plan, own_seed, scratch, deadline)
                common_rps = plan.common_rps
            for contestant in list(self.alive.values()):
                self._end(contestant)
        return common_rps

    def all_lost(self, error: PartLostError) -> list[TrialEnd]:
        """Write down that what all needed was lost; return how all trials ended."""
        ended = {end.variant for end in self.ends if not end.lost}
        for trial in self.block.trials:
            self.losses.note(self.scenario.label, trial.variant)
            if trial.variant not in ended:
                self._append(self._lost_end(trial, error, self.began))
        return self.ends

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
        """Have a turn taken; again where a part was lost; None: the variant is out."""
        others = [each for label, each in self.alive.items() if label != order.variant]
        for each in others:
            if time.monotonic() - each.stopped_at > LONGEST_STOP_S:
                each.resume()
                each.stop()
        own_seed = (*seed, order.round, sum(order.kind.encode()))
        connections = self.context.settings.connections

        def take(contestant: Contestant) -> Step:
            return contestant.take(order, own_seed, scratch, connections, others)

        return self._kept(self.alive[order.variant], take)

    def _warm_up(self, contestant: Contestant) -> None:
        settings = self.context.settings
        if settings.warmup_s:
            seed = (self.context.seed, 999)
            contestant.warm_up(settings.warmup_s, settings.connections, seed)

    def _kept(self, contestant: Contestant, do: Callable[[Contestant], T]) -> T | None:
        """Do something with a running variant; where it loses a part, with a fresh one once more.

        Returns
        -------
        What was done, or None where the variant is not measured any more.

        Raises
        ------
        PartLostError : what all of them need was lost.
        """
        label = contestant.trial.variant
        current: Contestant | None = contestant
        while current is not None:
            try:
                current.resume()
                if current is not contestant:
                    self._warm_up(current)
                done = do(current)
                current.stop()
            except PartLostError as error:
                if error.shared:
                    raise
                current.lost = error
                self._end(current)
                once_more = self.losses.note(self.scenario.label, label)
                current = self._afresh(current.trial) if once_more else None
            else:
                return done
        return None

    def _afresh(self, lost: Trial) -> Contestant | None:
        """Launch a variant that lost a part anew."""
        trial = replace(lost, id=f"{lost.id}-again")
        self.context.event("launch", trial.id)
        processes = self.launching.one(self._stack, trial)
        if processes is None:
            _, why = self.launching.failed.pop()
            self._fail(trial, why)
            return None
        contestant = self._contestant(trial, processes)
        self._tell_warden()
        return contestant

    def _end(self, contestant: Contestant) -> None:
        """End a variant's processes, and write down how its trial ended."""
        recording, trial = contestant.recording, contestant.trial
        contestant.resume()
        recording.finish()
        self.alive.pop(trial.variant)
        if contestant.lost is not None:
            self._append(self._lost_end(trial, contestant.lost, contestant.began))
            return
        self.steps += recording.steps
        self._append(
            end_of(
                trial,
                "turns",
                time.monotonic() - contestant.began,
                audit=recording.audit,
                reasons=tuple(audit_doubts(recording.audit, self.context.settings.tolerance.audit)),
                notes=(*self.notes, *recording.notes),
                round_trips=recording.round_trips,
            ),
        )

    def _lost_end(self, trial: Trial, error: PartLostError, began: float) -> TrialEnd:
        took_s = time.monotonic() - began
        return end_of(
            trial, "lost", took_s, failure=str(error), reasons=error.doubts, notes=self.notes
        )

    def _append(self, end: TrialEnd) -> None:
        self.context.folder.append_trial(end)
        self.ends.append(end)

    @contextlib.contextmanager
    def _launched(self) -> Iterator[None]:
        """Launch all at once; those that do not get ready, neither when tried again, have ended."""
        with contextlib.ExitStack() as stack:
            self._stack = stack
            for trial in self.block.trials:
                self.context.event("launch", trial.id)
            try:
                self.load, ready = self.launching.all(stack)
            except ServiceError as error:
                lost = Doubt(DoubtKind.DIED, subject=str(error))
                raise PartLostError([lost], shared=True) from error
            stack.callback(self.warden.watch, ())
            for trial, processes in ready:
                self._contestant(trial, processes)
            self._tell_warden()
            stack.callback(self._let_go)
            failed, self.launching.failed = self.launching.failed, []
            for trial, why in failed:
                self._start_again(trial, why)
            yield

    def _contestant(self, trial: Trial, processes: Processes) -> Contestant:
        variant = self.variants[trial.variant]
        recording = Recording(self.context, trial, variant, self.scenario, processes, self.load)
        self._stack.enter_context(recording)
        contestant = Contestant(trial, recording, self.began)
        self.alive[trial.variant] = contestant
        return contestant

    def _start_again(self, trial: Trial, error: ServiceError) -> None:
        """Start a variant once more that ended while it started."""
        with_broker = bool(self.variants[trial.variant].brokers)
        lost = self.context.lost_in_start(error, with_broker=with_broker)
        if lost is None:
            self._fail(trial, error)
            return
        if lost.shared:
            raise lost
        self._append(self._lost_end(trial, lost, self.began))
        if self.losses.note(self.scenario.label, trial.variant):
            self._afresh(trial)

    def _tell_warden(self) -> None:
        self.warden.watch(
            pid for each in self.alive.values() for pid in each.recording.processes.pids
        )

    def _fail(self, trial: Trial, error: ServiceError) -> None:
        took_s = time.monotonic() - self.began
        self._append(end_of(trial, "failed", took_s, failure=str(error)))

    def _let_go(self) -> None:
        """Leave nothing stopped, whatever happened: what is stopped cannot end in order."""
        for contestant in self.alive.values():
            contestant.stoppable.resume()
