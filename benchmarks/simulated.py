"""A run without processes: turns follow from a queueing model, and time is counted, not spent.

With it every schedule can be tried in milliseconds, and what its answers should be is known. The
model is M/M/c (Poisson arrivals, exponential service, `servers` at once; Kleinrock, *Queueing
Systems*, volume 1, section 3.5): its figures are right enough to decide by, and no measurement.
Launches and rounds stray by amounts that are given.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from asyncdb_bench.analysis.step.histogram import Counts, counts_of, summary
from asyncdb_bench.analysis.step.validity import behind, misses
from asyncdb_bench.analysis.values import standing
from asyncdb_bench.measure.loop import Losses, Results
from asyncdb_bench.measure.turns import LaunchOrder, Now, Schedule, TurnOrder
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import CALM_SHARE, Overload, PlannedScenario, Settings, Trial
from asyncdb_bench.records.step import (
    Ledger,
    Overloaded,
    Percentiles,
    Span,
    Step,
    Taken,
    TrialEnd,
    Turn,
    Usage,
)

LAUNCH_S, BETWEEN_S = 4.0, 0.1
"""What a launch takes, and each turn beside its window and the load before it."""
REST = 0.02
"""Share of a core that every made-up variant uses with nothing to do."""
BEATS = 1000
"""Heartbeats of an application in a second."""
LEVELS = (0.0, 0.5, 0.95, 0.99, 1.0)

S = TypeVar("S", bound=Schedule)


@dataclass(frozen=True, slots=True)
class Truth:
    """What a variant really is.

    Parameters
    ----------
    service_ms : mean time that a request occupies a server.
    servers : requests that are served at once.
    cpu_ms : CPU time of the application per request.
    failure : why it does not start; empty: it does.
    """

    service_ms: float = 8.0
    servers: int = 4
    cpu_ms: float = 2.0
    failure: str = ""

    @property
    def capacity_rps(self) -> float:
        """Requests per second that all servers can serve."""
        return self.servers / self.service_ms * 1000


Truths = Callable[[Trial], Truth]
"""What is true of a trial's variant in its scenario, in its launch."""


@dataclass(frozen=True, slots=True)
class Strays:
    """By how much times stray: standard deviations of logarithms.

    Parameters
    ----------
    launch, round : of a variant's launch, and of each of its turns.
    seed : of the draws.
    """

    launch: float = 0.004
    round: float = 0.02
    seed: int = 3


class Simulation(Generic[S]):
    """Does what a schedule says on variants that are made up.

    Stands for :class:`asyncdb_bench.measure.loop.MeasureLoop`.

    Parameters
    ----------
    schedule : what to do.
    truth : of each trial.
    budget_s : seconds that measuring may take; infinity: no limit.
    strays : of launches and turns.
    lost : says of a turn whether a part of its variant is lost in it, which is launched afresh
        then, once.

    Attributes
    ----------
    orders : what the schedule said, in its order.
    now_s : seconds that it would have taken so far.
    """

    def __init__(
        self,
        schedule: S,
        truth: Truths,
        *,
        budget_s: float = math.inf,
        strays: Strays = Strays(),
        lost: Callable[[TurnOrder], bool] = lambda _: False,
    ) -> None:
        self.schedule = schedule
        self.truth = truth
        self.budget_s = budget_s
        self.lost = lost
        self.orders: list[LaunchOrder | TurnOrder] = []
        self.steps: list[Step] = []
        self.ends: list[TrialEnd] = []
        self.now_s = 0.0
        self._strays = strays
        self._random = random.Random(strays.seed)
        self._trials: dict[tuple[str, str], Trial] = {}
        self._factors: dict[str, float] = {}
        self._losses = Losses()

    @property
    def results(self) -> Results:
        """What has been measured so far."""
        return Results(tuple(standing(self.steps, self.ends)), tuple(self.ends))

    @property
    def turns(self) -> list[TurnOrder]:
        """The turns among the orders."""
        return [each for each in self.orders if isinstance(each, TurnOrder)]

    def run(self) -> Results:
        """Go on until the schedule has no more."""
        while (
            order := self.schedule.next(Now(self.now_s, self.budget_s - self.now_s))
        ) is not None:
            self.orders.append(order)
            if isinstance(order, LaunchOrder):
                self._end_launch()
                self._launch(order)
            else:
                self._turn(order)
        self._end_launch()
        return self.results

    def _launch(self, order: LaunchOrder) -> None:
        self.now_s += LAUNCH_S
        for variant in sorted({variant for variant, _ in order.asked}):
            self._factors[variant] = self._drawn(self._strays.launch)
        for variant, scenario in sorted(order.asked):
            if self._losses.out(scenario, variant):
                continue
            number, purpose = order.number, order.purpose
            trial = Trial(f"{variant}-{purpose}-{number}", number, variant, scenario, purpose)
            if failure := self.truth(trial).failure:
                self.ends.append(TrialEnd.of(trial, 0.0, failure=failure))
            else:
                self._trials[variant, scenario] = trial
        self.schedule.note_launch(order, list(self._trials.values()))

    def _end_launch(self) -> None:
        self.ends += [TrialEnd.of(trial, self.now_s) for trial in self._trials.values()]
        self._trials = {}

    def _turn(self, order: TurnOrder) -> None:
        self.now_s += order.lead_s + order.window_s + BETWEEN_S
        trial = self._trials[order.variant, order.scenario]
        if self.lost(order):
            self._lose(order, trial)
            return
        factor = self._factors[order.variant] * self._drawn(self._strays.round)
        plan, truth = self.schedule.plan, self.truth(trial)
        asked = next(each for each in plan.scenarios if each.label == order.scenario)
        now = replace(truth, service_ms=truth.service_ms * factor, cpu_ms=truth.cpu_ms * factor)
        step = simulated_step(trial, asked, plan.settings, now, order, len(self.steps))
        self.steps.append(step)
        self.schedule.note_step(order, step)

    def _lose(self, order: TurnOrder, trial: Trial) -> None:
        doubt = Doubt(DoubtKind.DIED, subject=f"{order.variant} was ended")
        self.ends.append(replace(TrialEnd.of(trial, self.now_s), reasons=(doubt,)))
        self.schedule.note_step(order, None)
        self.schedule.note_lost([trial])
        self.now_s += LAUNCH_S
        if self._losses.note(order.scenario, order.variant):
            again = replace(trial, id=f"{trial.id}-again")
            self._trials[order.variant, order.scenario] = again
        else:
            del self._trials[order.variant, order.scenario]
            self.schedule.note_out(order.variant, order.scenario, trial.purpose)

    def _drawn(self, spread: float) -> float:
        return math.exp(self._random.gauss(0, spread))


def simulated_step(
    trial: Trial,
    asked: PlannedScenario,
    settings: Settings,
    truth: Truth,
    order: TurnOrder,
    number: int,
) -> Step:
    """Return the step of a turn, with the figures that follow from a truth.

    Parameters
    ----------
    trial, asked, settings : whose it is.
    truth : of the variant in this turn.
    order, number : of the turn, and of the step.
    """
    closed = order.kind == "pace"
    load = order.load_rps * (asked.mean_factor if order.kind == "rung" else 1.0)
    achieved = truth.capacity_rps if closed else min(load, truth.capacity_rps)
    if closed:
        longest_ms = settings.connections / achieved * 1000
        levels: tuple[float, ...] = tuple(longest_ms * each for each in (1, 1.1, 1.2, 1.3))
    else:
        levels = response_ms(truth, load, order.window_s) if load else ()
    offered = achieved if closed else load
    count = round(offered * order.window_s)
    counts = drawn(levels, count)
    latency, ledger = summary(counts), Ledger(count, count, 0, 0, 0, 0)
    missed = misses(asked.objective, ledger, latency) if count else ()
    if load and order.kind != "rung":
        missed += behind(load, achieved)
    lasted_s = order.window_s + order.lead_s
    quick = Percentiles(count, 0.1, 0.1, 0.2, 0.3, 0.5, 1.0)
    return Step(
        run_id="simulated",
        trial=trial.id,
        block=trial.block,
        scenario=trial.scenario,
        variant=trial.variant,
        strategy=trial.variant.partition(":")[0],
        step=number,
        purpose=trial.purpose,
        offered_rps=order.load_rps or offered,
        achieved_rps=achieved,
        arrivals_rps=offered,
        window_s=order.window_s,
        lasted_s=lasted_s,
        started_at="",
        ledger=ledger,
        errors={},
        latency=latency,
        latency_bounds={},
        service=latency,
        send_lag=quick,
        loop_lag=quick,
        usage={"app": Usage(truth.cpu_ms / 1000 * count + REST * lasted_s, 50, 50, 1)},
        connections_peak=truth.servers,
        connections_active_peak=truth.servers,
        gauges={},
        holds=not missed,
        misses=missed,
        valid=True,
        reasons=(),
        turn=Turn(
            order.kind,
            order.round,
            settings.connections if closed else 0,
            order.share,
            round(BEATS * lasted_s),
        ),
        latency_counts=counts,
        lag_counts=drawn((0.2, 0.5, 0.9, 2.0), round(BEATS * lasted_s)),
        overload=_overloaded(truth, asked.overload, order) if order.kind == "overload" else None,
    )


def _overloaded(truth: Truth, asked: Overload | None, order: TurnOrder) -> Overloaded:
    """Return what a variant does that refuses what it cannot do, and is back at once."""
    assert asked is not None
    before, during, after = (
        Span(each.seconds, round(due * each.seconds), round(right * each.seconds))
        for each in asked.shape
        if (due := order.load_rps * each.factor) and (right := min(due, truth.capacity_rps))
    )
    return Overloaded(
        factor=asked.factor,
        pace_rps=order.load_rps / CALM_SHARE,
        patience_ms=asked.patience_ms,
        before=before,
        during=during,
        after=after,
        recovery_s=0.0,
        calm_ms=1.0,
        for_nobody=0,
        for_nobody_s=0.0,
        sessions=0,
        rest_s=0.0,
        taken_before=Taken(),
        taken_after=Taken(),
        bin_s=asked.window_s,
        answered=(before.right + during.right + after.right,),
    )


@functools.lru_cache(maxsize=4096)
def drawn(levels_ms: Sequence[float], count: int) -> Counts:
    """Return the distribution of so many values with given p50, p95, p99 and maximum."""
    if not count or not levels_ms:
        return ()
    known = (levels_ms[0] * 0.6, *levels_ms)
    places = (np.arange(count) + 0.5) / count
    return counts_of(np.interp(places, LEVELS, known) * 1000)


def response_ms(truth: Truth, load: float, window_s: float) -> tuple[float, float, float, float]:
    """Return the p50, p95, p99 and maximum of the response times, milliseconds.

    Parameters
    ----------
    truth : of the variant.
    load : arrivals per second.
    window_s : of the turn: beyond its capacity a queue grows until it ends.
    """
    capacity = truth.capacity_rps
    if load >= capacity:
        longest = truth.service_ms + 1000 * window_s * (1 - capacity / load)
        return longest / 2, longest * 0.95, longest * 0.99, longest
    p50, p95, p99, most = (quantile_ms(truth, load, each) for each in (0.5, 0.95, 0.99, 0.999))
    return p50, p95, p99, most


def quantile_ms(truth: Truth, load: float, level: float) -> float:
    """Return a quantile of the response time below capacity, milliseconds."""
    low, high = 0.0, truth.service_ms
    while longer_than(truth, load, high) > 1 - level:
        high *= 2
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if longer_than(truth, load, middle) > 1 - level:
            low = middle
        else:
            high = middle
    return high


def longer_than(truth: Truth, load: float, ms: float) -> float:
    """Return the share of responses that take longer: waiting and service together."""
    pace = 1 / truth.service_ms
    busy = load * truth.service_ms / 1000
    waits, free = erlang_c(truth.servers, busy), truth.servers - 1 - busy
    served = math.exp(-pace * ms)
    if abs(free) < 1e-9:
        return served * (1 + waits * pace * ms)
    # in this form no power overflows, however long the wait
    return served + waits * (served - math.exp(-pace * ms * (1 + free))) / free


def erlang_c(servers: int, busy: float) -> float:
    """Return the share of arrivals that must wait (Erlang's C formula).

    Parameters
    ----------
    servers : how many.
    busy : arrival rate times service time, below `servers`.
    """
    blocked = 1.0
    for each in range(1, servers + 1):
        blocked = busy * blocked / (each + busy * blocked)
    return servers * blocked / (servers - busy * (1 - blocked))


class Silent:
    """A display that shows nothing and keeps what was said.

    Attributes
    ----------
    said : the lines.
    """

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Keep a line."""
        self.said.append(text)

    def _nothing(self, _: object) -> None:
        """Show nothing."""

    service = recall = launch = step = end = _nothing
