"""The ladder of one trial, climbed: each step offered, recorded, judged and written down."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from pathlib import Path

from asyncdb_bench.analysis.step.validity import is_saturated
from asyncdb_bench.plan.schedule import window_of
from asyncdb_bench.records.plan import PURPOSES, LoadOrder, PlannedScenario, Trial, Variant
from asyncdb_bench.records.step import Step
from asyncdb_bench.trial.launch import (
    Processes,
)
from asyncdb_bench.trial.recording import Recording
from asyncdb_bench.trial.run_context import RunContext
from asyncdb_bench.trial.rungs import Offered, climb

ATTEMPTS = 3
"""How often a step is offered at most where what made it invalid may pass."""
PROMPT_S = 0.05
PROMPT_TIMES = 3
"""An application that answers its health route so often within that time is idle again."""


class Climb:
    """The ladder of one trial.

    Parameters
    ----------
    run_context, trial, variant, scenario, processes : what is climbed.
    place : the scenario's place in the plan, which seeds the arrivals.
    """

    def __init__(
        self,
        run_context: RunContext,
        trial: Trial,
        variant: Variant,
        scenario: PlannedScenario,
        place: int,
        processes: Processes,
    ) -> None:
        assert processes.load is not None
        self.run_context = run_context
        self.trial = trial
        self.scenario = scenario
        self.place = place
        self.processes = processes
        self.recording = Recording(run_context, trial, variant, scenario, processes, processes.load)

    @property
    def steps(self) -> list[Step]:
        """What was measured."""
        return self.recording.steps

    def run(self, deadline: float) -> str:
        """Climb until the variant saturates, the ladder ends or time is up; return which."""
        with self.recording, self.run_context.folder.scratch() as scratch:
            self._warm_up()
            why = self._climb(scratch, deadline)
            self.recording.finish()
        return why

    def _climb(self, scratch: Path, deadline: float) -> str:
        gallop = self.scenario.gallop or self.trial.gallop
        rungs = climb(self.scenario.ladder, gallop=gallop, retry_missed=self.trial.retry_missed)
        try:
            rung = next(rungs)
            while True:
                if rung.settle:
                    self._settle()
                step = self._offered(rung.place, scratch, deadline)
                came = None if step is None else Offered(step.holds, self._is_over(step))
                rung = rungs.send(came)
        except StopIteration as end:
            return str(end.value)

    def _offered(self, place: int, scratch: Path, deadline: float) -> Step | None:
        """Offer a rung, again where what spoiled it may pass; None where there is no time."""
        settings, rate = self.run_context.settings, self.scenario.ladder[place]
        window_s = window_of(settings, self.scenario, rate)
        step_s = window_s + settings.drain_s
        if self.recording.offered and time.monotonic() + step_s > deadline:
            return None
        order = LoadOrder(
            rate,
            window_s,
            settings.drain_s,
            (*self._seed(), self.place, place),
            shape=self.scenario.shape,
        )
        for attempt in range(1, ATTEMPTS + 1):
            may_repeat = attempt < ATTEMPTS and time.monotonic() + 2 * step_s <= deadline
            step = self.recording.step(order, scratch, attempt=attempt, may_repeat=may_repeat)
            if not step.repeated:
                break
        return step

    def _is_over(self, step: Step) -> bool:
        return is_saturated(
            self.scenario.objective,
            step.ledger,
            step.latency,
            step.offered_rps * self.scenario.mean_factor,
            step.achieved_rps,
        )

    def _settle(self) -> None:
        """Wait until the application answers promptly again, at most as long as it may take."""
        url = f"http://{self.processes.host}:{self.processes.port}/healthz"
        deadline = time.monotonic() + self.run_context.settings.timeout_s
        prompt = 0
        while prompt < PROMPT_TIMES and time.monotonic() < deadline:
            began = time.monotonic()
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
                pass
            prompt = prompt + 1 if time.monotonic() - began < PROMPT_S else 0
            time.sleep(PROMPT_S)

    def _warm_up(self) -> None:
        settings = self.run_context.settings
        if settings.warmup_s > 0:
            # the warm-up is even, whatever the steps are
            rate = max(self.scenario.ladder[0], 16 / settings.warmup_s)
            seed = (self.run_context.seed, 999)
            self.recording.warm_up(LoadOrder(rate, settings.warmup_s, settings.drain_s, seed))

    def _seed(self) -> tuple[int, ...]:
        """Return what the arrivals of a block are drawn by: all its variants are offered the same.

        Blocks of another purpose are numbered by themselves, and draw arrivals of their own.
        """
        seed, block = self.run_context.seed, self.trial.block
        if self.trial.purpose == "measure":
            return (seed, block)
        return (seed, PURPOSES.index(self.trial.purpose), block)
