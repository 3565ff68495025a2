"""The one loop that runs trials, whatever schedule says which comes next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from asyncdb_bench.analysis.standing import standing
from asyncdb_bench.records.plan import Block, Plan, PlannedScenario, Trial, Variant
from asyncdb_bench.records.step import Step, TrialEnd


@dataclass(frozen=True, slots=True)
class Results:
    """What has been measured so far: what a schedule decides from.

    Parameters
    ----------
    steps : those that stand, without those that were offered again.
    ends : how the trials ended.
    spent_s : seconds since the first trial began.
    budget_s : seconds that all trials may take; infinity: no limit.
    """

    steps: Sequence[Step] = ()
    ends: Sequence[TrialEnd] = ()
    spent_s: float = 0.0
    budget_s: float = math.inf

    @property
    def left_s(self) -> float:
        """Seconds that are left of the budget."""
        return self.budget_s - self.spent_s


class Schedule(Protocol):
    """Says which trial comes next. Pure: it starts nothing and reads no clock."""

    @property
    def plan(self) -> Plan:
        """The variants and scenarios that its trials refer to, and the trials as far as known."""

    def next(self, results: Results) -> Trial | Block | None:
        """Return the next trial or block of turns; None: it is done."""

    def news(self) -> list[str]:
        """Return what a person should be told since the last call, a line each."""


class Display(Protocol):
    """What a run shows while it goes on."""

    def say(self, text: str) -> None:
        """Show one line."""

    def service(self, name: str) -> None:
        """Show that a service is being started."""

    def trial(self, trial: Trial) -> None:
        """Show which trial begins."""

    def block(self, block: Block) -> None:
        """Show which block of turns begins."""

    def step(self, step: Step) -> None:
        """Show a step's figures."""

    def end(self, end: TrialEnd) -> None:
        """Show how a trial ended."""


S = TypeVar("S", bound=Schedule)
Runner = Callable[[Trial, Variant, PlannedScenario, int], tuple[Sequence[Step], Sequence[TrialEnd]]]
"""Runs one trial of a variant in a scenario, whose place in the plan seeds the arrivals; it has
more than one end where it was lost and run again."""
BlockRunner = Callable[[Block, Plan, Sequence[Step]], tuple[Sequence[Step], Sequence[TrialEnd]]]
"""Runs one block of turns of a plan, given the steps of its scenario in blocks before."""


class ScheduleLoop(Generic[S]):
    """Runs a schedule's trials until it has no more.

    Parameters
    ----------
    schedule : what to run.
    runner : how to run a trial.
    block_runner : how to run a block; None where the schedule has none.
    display : told of everything.
    budget_s : seconds that all trials may take; 0: no limit.
    clock : monotonic seconds.
    """

    def __init__(
        self,
        schedule: S,
        runner: Runner,
        display: Display,
        budget_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        block_runner: BlockRunner | None = None,
    ) -> None:
        self.block_runner = block_runner
        self.schedule = schedule
        self.runner = runner
        self.display = display
        self.budget_s = budget_s or math.inf
        self.clock = clock
        self.steps: list[Step] = []
        self.ends: list[TrialEnd] = []
        self._began: float | None = None

    @property
    def results(self) -> Results:
        """What has been measured so far."""
        spent_s = 0.0 if self._began is None else self.clock() - self._began
        steps = tuple(standing(self.steps, self.ends))
        return Results(steps, tuple(self.ends), spent_s, self.budget_s)

    def run(self) -> Results:
        """Run trial after trial; what was measured before an interruption is in :attr:`results`."""
        self._began = self.clock()
        while (unit := self._next()) is not None:
            steps, ends = self._block(unit) if isinstance(unit, Block) else self._trial(unit)
            self.steps += [step for step in steps if not step.repeated]
            self.ends += ends
            for end in ends:
                self.display.end(end)
        return self.results

    def _block(self, block: Block) -> tuple[Sequence[Step], Sequence[TrialEnd]]:
        assert self.block_runner is not None
        self.display.block(block)
        earlier = [
            step
            for step in self.steps
            if step.scenario == block.scenario and step.purpose == block.purpose
        ]
        return self.block_runner(block, self.schedule.plan, earlier)

    def _trial(self, trial: Trial) -> tuple[Sequence[Step], Sequence[TrialEnd]]:
        plan = self.schedule.plan
        variant = next(each for each in plan.variants if each.label == trial.variant)
        place, scenario = next(
            (place, each)
            for place, each in enumerate(plan.scenarios)
            if each.label == trial.scenario
        )
        self.display.trial(trial)
        return self.runner(trial, variant, scenario, place)

    def _next(self) -> Trial | Block | None:
        trial = self.schedule.next(self.results)
        for line in self.schedule.news():
            self.display.say(line)
        return trial
