"""Turns made by hand of variants whose truth is known, and gates run on them without a clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncdb_bench.analysis.step.histogram import Counts, counts_of, summary
from asyncdb_bench.measure.turns import LaunchOrder, Now, Schedule, TurnOrder
from asyncdb_bench.records.plan import Purpose, Trial
from asyncdb_bench.records.step import Step, TrialEnd, Turn
from tests.factories import end, step, turn

COMMON_RPS = 100.0


@dataclass(frozen=True)
class Truth:
    """What a variant is: its pace, 1/s, its median latency and CPU per request; why it fails."""

    pace_rps: float = 1000.0
    p50_ms: float = 5.0
    cpu_ms: float = 1.0
    failure: str = ""


def latencies(median_ms: float, count: int, rng: np.random.Generator) -> Counts:
    return counts_of(median_ms * 1000 * np.exp(rng.normal(0, 0.2, count)))


def made_turn(
    truth: Truth, order: TurnOrder, launch: int, rng: np.random.Generator, spread: float = 0.02
) -> Step:
    """Return what a turn shows of a variant, its round straying by a spread of the logarithm."""
    stray = math.exp(rng.normal(0, spread))
    changes: dict[str, Any] = {"scenario": order.scenario, "launch": launch}
    if order.kind == "idle":
        return turn(order.variant, 0, "idle", **changes)
    if order.kind == "pace":
        return turn(
            order.variant,
            truth.pace_rps * stray,
            number=order.round,
            cpu_ms=truth.cpu_ms / stray,
            **changes,
        )
    counts = latencies(truth.p50_ms * stray, max(round(order.load_rps * order.window_s), 60), rng)
    whole = summary(counts)
    changes |= {"latency_counts": counts, "lag_counts": counts, "latency": whole}
    if order.kind == "rung":
        carried = order.load_rps < truth.pace_rps
        changes |= {"block": changes.pop("launch"), "turn": Turn("rung", order.round)}
        p99 = {"p99": whole.p99_ms if carried else 500.0}
        bounds = {"p50_ms": (truth.p50_ms * 0.97, truth.p50_ms * 1.03)}
        changes.pop("latency")
        return step(order.variant, order.load_rps, latency_bounds=bounds, **p99, **changes)
    return turn(order.variant, order.load_rps, order.kind, number=order.round, **changes)


def measured_turns(
    truths: Mapping[str, Truth],
    launches: int = 3,
    rounds: int = 10,
    spread: float = 0.02,
    seed: int = 1,
    scenario: str = "read",
) -> list[Step]:
    """Return rounds of turns at full speed and at one load common to all."""
    rng = np.random.default_rng(seed)
    return [
        made_turn(
            truth,
            TurnOrder(name, scenario, kind, number, 1.0, load_rps=COMMON_RPS * (kind == "common")),
            launch,
            rng,
            spread,
        )
        for launch in range(launches)
        for number in range(rounds)
        for kind in ("pace", "common")
        for name, truth in truths.items()
    ]


Truths = Callable[[str, Purpose], Truth]
"""What a variant is, by its label and what the launch is for."""


class MadeRun:
    """Does what a schedule says with variants made up; time is what the turns say that they take.

    Parameters
    ----------
    schedule : what to do.
    truth : of each variant.
    budget_s : seconds; infinity: no limit.
    """

    launch_s = 5.0
    between_s = 0.1

    def __init__(self, schedule: Schedule, truth: Truths, budget_s: float = math.inf) -> None:
        self.schedule = schedule
        self.truth = truth
        self.budget_s = budget_s
        self.spent_s = 0.0
        self.said: list[str] = []
        self.launches: list[LaunchOrder] = []
        self.turns: list[tuple[Purpose, TurnOrder]] = []
        self.ends: list[TrialEnd] = []
        self._rng = np.random.default_rng(3)

    def run(self) -> None:
        """Go on until the schedule has no more."""
        while True:
            now = Now(self.spent_s, self.budget_s - self.spent_s)
            order = self.schedule.next(now)
            self.said += self.schedule.news()
            if order is None:
                return
            if isinstance(order, LaunchOrder):
                self._launch(order)
            else:
                self._take(order)

    def _launch(self, order: LaunchOrder) -> None:
        self.launches.append(order)
        self.spent_s += self.launch_s
        trials = []
        for variant, scenario in sorted(order.asked):
            failure = self.truth(variant, order.purpose).failure
            if failure:
                self.ends.append(end(variant, scenario=scenario, failure=failure))
            else:
                trials.append(Trial(variant, order.number, variant, scenario, order.purpose))
        self.schedule.note_launch(order, trials)

    def _take(self, order: TurnOrder) -> None:
        launch = self.launches[-1]
        self.turns.append((launch.purpose, order))
        self.spent_s += order.lead_s + order.window_s + self.between_s
        truth = self.truth(order.variant, launch.purpose)
        self.schedule.note_step(order, made_turn(truth, order, launch.number, self._rng))
