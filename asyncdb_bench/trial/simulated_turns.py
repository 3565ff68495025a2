"""Blocks of turns without processes, by the same queueing model as :mod:`simulated`.

Launches and rounds spread by amounts that are given, so that intervals can be held against a truth
that is known.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asyncdb_bench.analysis.step.histogram import Counts, counts_of, summary
from asyncdb_bench.analysis.step.validity import behind, misses
from asyncdb_bench.plan.schedule import BLOCK_S, LAUNCH_S, TURN_OVERHEAD_S
from asyncdb_bench.records.plan import Block, Plan, PlannedScenario, Settings, Trial, Variant
from asyncdb_bench.records.step import Ledger, Step, TrialEnd, Turn, Usage, end_of
from asyncdb_bench.trial.simulated import Truth, Truths, response_ms, simulated_step
from asyncdb_bench.trial.turns.turn_order import TurnOrder, TurnPlan

REST = 0.02
"""Share of a core that every made-up variant uses with nothing to do."""
BEATS = 1000
LEVELS = (0.0, 0.5, 0.95, 0.99, 1.0)


@dataclass
class Speeds:
    """What a launch, and each of its rounds, makes of a variant: factors on all of its times.

    Parameters
    ----------
    launch, round : standard deviations of their logarithms.
    seed : of the draws.
    """

    launch: float = 0.01
    round: float = 0.02
    seed: int = 3

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def of_launch(self) -> float:
        """Draw a launch's factor."""
        return math.exp(self._random.gauss(0, self.launch))

    def of_round(self) -> float:
        """Draw a round's factor."""
        return math.exp(self._random.gauss(0, self.round))


class SimulatedBlocks:
    """Stands for :class:`asyncdb_bench.trial.turns.one_block.BlockRunner`.

    Parameters
    ----------
    settings : of the plan.
    truth : of each trial.
    speeds : how launches and rounds spread.
    """

    def __init__(self, settings: Settings, truth: Truths, speeds: Speeds | None = None) -> None:
        self.settings = settings
        self.truth = truth
        self.speeds = speeds or Speeds()
        self.seen: list[Trial] = []
        self.blocks: list[Block] = []
        self.now_s = 0.0

    def clock(self) -> float:
        """Return the seconds that the blocks so far would have taken."""
        return self.now_s

    def __call__(
        self, block: Block, plan: Plan, earlier: Sequence[Step]
    ) -> tuple[list[Step], list[TrialEnd]]:
        """Run one block; see :data:`asyncdb_bench.trial.schedule_loop.BlockRunner`."""
        began_s = self.now_s
        self.blocks.append(block)
        variants = {each.label: each for each in plan.variants}
        scenario = next(each for each in plan.scenarios if each.label == block.scenario)
        trials = {trial.variant: trial for trial in block.trials}
        truths, launches = {}, {}
        for trial in block.trials:
            before = sum(each.variant == trial.variant for each in self.seen)
            truths[trial.variant] = self.truth(trial, before)
            launches[trial.variant] = self.speeds.of_launch()
            self.seen.append(trial)
        self.now_s += BLOCK_S + len(trials) * (LAUNCH_S + self.settings.warmup_s)
        steps: list[Step] = []
        turns = TurnPlan(block, self.settings, earlier, (plan.seed, block.number)).turns()
        answer: Step | None = None
        try:
            order = next(turns)
            while True:
                truth = truths[order.variant]
                self.now_s += order.lead_s + order.window_s + TURN_OVERHEAD_S
                answer = None
                if not truth.failure:
                    factor = launches[order.variant] * self.speeds.of_round()
                    trial, variant = trials[order.variant], variants[order.variant]
                    answer = self._step(trial, variant, scenario, truth, order, factor)
                    steps.append(answer)
                order = turns.send(answer)
        except StopIteration:
            pass
        took_s = self.now_s - began_s
        return steps, [_end(trial, truths[name], took_s) for name, trial in trials.items()]

    def _step(
        self,
        trial: Trial,
        variant: Variant,
        scenario: PlannedScenario,
        truth: Truth,
        order: TurnOrder,
        factor: float,
    ) -> Step:
        now = Truth(truth.service_ms * factor, truth.servers, truth.cpu_ms * factor)
        load = order.load_rps
        achieved = min(load, now.capacity_rps) if load else 0.0
        if order.kind == "pace":
            load = achieved = now.capacity_rps
        count = round(load * order.window_s)
        levels = response_ms(now, order.load_rps, order.window_s) if order.load_rps else ()
        if order.kind == "pace":
            closed_ms = self.settings.connections / load * 1000
            levels = (closed_ms, closed_ms * 1.1, closed_ms * 1.2, closed_ms * 1.3)
        latency_counts = _drawn(levels, count)
        latency = summary(latency_counts)
        ledger = Ledger(count, count, 0, 0, 0, 0)
        missed = misses(scenario.objective, ledger, latency) if count else ()
        if order.load_rps:
            missed += behind(load, achieved)
        cpu_s = now.cpu_ms / 1000 * count + REST * (order.window_s + order.lead_s)
        step = simulated_step(
            trial,
            variant,
            load,
            achieved,
            order.window_s,
            latency,
            Usage(cpu_s, 50, 50, 1),
            missed,
            servers=truth.servers,
        )
        connections = self.settings.connections if order.kind == "pace" else 0
        beats = round(BEATS * (order.window_s + order.lead_s))
        return replace(
            step,
            lasted_s=order.window_s + order.lead_s,
            turn=Turn(order.kind, order.round, connections, order.share, beats),
            latency_counts=latency_counts,
            lag_counts=_drawn((0.2, 0.5, 0.9, 2.0), BEATS),
        )


def _drawn(levels_ms: Sequence[float], count: int) -> Counts:
    """Return the distribution of so many values with given p50, p95, p99 and maximum."""
    if not count or not levels_ms:
        return ()
    known = (levels_ms[0] * 0.6, *levels_ms)
    places = (np.arange(count) + 0.5) / count
    return counts_of(np.interp(places, LEVELS, known) * 1000)


def _end(trial: Trial, truth: Truth, seconds: float) -> TrialEnd:
    return end_of(
        trial,
        "failed" if truth.failure else "turns",
        seconds,
        failure=truth.failure,
    )
