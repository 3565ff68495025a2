"""A runner without processes: steps follow from a queueing model, and time is counted, not spent.

With it every schedule can be tried in milliseconds, and what a decision should be is known. The
model is M/M/c (Poisson arrivals, exponential service, `servers` at once; Kleinrock, *Queueing
Systems*, volume 1, section 3.5): its figures are right enough to climb ladders by, and no
measurement.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from asyncdb_bench.analysis.step.validity import is_saturated, misses
from asyncdb_bench.plan.schedule import START_S, STEP_OVERHEAD_S, window_of
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.plan import PlannedScenario, Settings, Trial, Variant
from asyncdb_bench.records.step import Ledger, Percentiles, Step, TrialEnd, Usage, end_of
from asyncdb_bench.trial.rungs import Offered, Rung, climb


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


Truths = Callable[[Trial, int], Truth]
"""The truth of a trial; its second argument counts the trials of the variant before it."""


class SimulatedRunner:
    """Stands for :class:`asyncdb_bench.trial.one_trial.TrialRunner`.

    Parameters
    ----------
    settings : of the plan.
    truth : of each trial.
    noise : standard deviation of the logarithm of every figure.
    seed : of the noise.
    """

    def __init__(
        self, settings: Settings, truth: Truths, *, noise: float = 0.01, seed: int = 3
    ) -> None:
        self.settings = settings
        self.truth = truth
        self.noise = noise
        self.seen: list[Trial] = []
        self.now_s = 0.0
        self._random = random.Random(seed)

    def clock(self) -> float:
        """Return the seconds that the trials so far would have taken."""
        return self.now_s

    def __call__(
        self, trial: Trial, variant: Variant, scenario: PlannedScenario, place: int
    ) -> tuple[Sequence[Step], Sequence[TrialEnd]]:
        """Run one trial; see :data:`asyncdb_bench.trial.schedule_loop.Runner`."""
        before = sum(each.variant == trial.variant for each in self.seen)
        truth = self.truth(trial, before)
        self.seen.append(trial)
        began_s, why = self.now_s, "failed"
        self.now_s += START_S + self.settings.warmup_s
        steps: list[Step] = []
        if not truth.failure:
            why = self._climb(trial, variant, scenario, truth, steps)
        end = end_of(
            trial,
            why,
            self.now_s - began_s,
            failure=truth.failure,
        )
        return steps, [end]

    def _climb(
        self,
        trial: Trial,
        variant: Variant,
        scenario: PlannedScenario,
        truth: Truth,
        steps: list[Step],
    ) -> str:
        ladder = trial.ladder or scenario.ladder
        limit_s = self.now_s + (trial.limit_s or math.inf)
        rungs = climb(ladder, gallop=trial.gallop, retry_missed=trial.retry_missed)
        offered: Offered | None = None
        rung: Rung = next(rungs)
        while True:
            load = ladder[rung.place]
            window_s = window_of(self.settings, scenario, load)
            if self.now_s + window_s > limit_s:
                offered = None
            else:
                step, offered = self._step(trial, variant, scenario, truth, load, window_s)
                self.now_s += window_s + STEP_OVERHEAD_S
                steps.append(replace(step, step=len(steps)))
            try:
                rung = rungs.send(offered)
            except StopIteration as ended:
                return str(ended.value)

    def _step(
        self,
        trial: Trial,
        variant: Variant,
        scenario: PlannedScenario,
        truth: Truth,
        load: float,
        window_s: float,
    ) -> tuple[Step, Offered]:
        latency = self._noisy(response_ms(truth, load, window_s), round(load * window_s))
        count = round(load * window_s)
        achieved = min(load, truth.capacity_rps)
        ledger = Ledger(count, count, 0, 0, 0, 0)
        missed = misses(scenario.objective, ledger, latency)
        saturated = is_saturated(scenario.objective, ledger, latency, load, achieved)
        usage = Usage(self._varied(truth.cpu_ms / 1000 * achieved), 50, 50, 1)
        step = simulated_step(
            trial, variant, load, achieved, window_s, latency, usage, missed, servers=truth.servers
        )
        return step, Offered(not missed, saturated)

    def _noisy(self, levels: Sequence[float], count: int) -> Percentiles:
        p50, p95, p99, most = (self._varied(each) for each in levels)
        return Percentiles(count, p50, p50, max(p50, p95), max(p50, p99), most, most)

    def _varied(self, value: float) -> float:
        return value * math.exp(self._random.gauss(0, self.noise))


def simulated_step(  # noqa: PLR0913 - what a step is made of
    trial: Trial,
    variant: Variant,
    load: float,
    achieved: float,
    window_s: float,
    latency: Percentiles,
    usage: Usage,
    missed: tuple[Doubt, ...],
    *,
    servers: int,
) -> Step:
    """Return a sound step with the figures that follow from a truth."""
    count = round(load * window_s)
    quick = Percentiles(count, 0.1, 0.1, 0.2, 0.3, 0.5, 1.0)
    return Step(
        run_id="simulated",
        trial=trial.id,
        block=trial.block,
        scenario=trial.scenario,
        variant=trial.variant,
        strategy=variant.strategy,
        step=0,
        purpose=trial.purpose,
        offered_rps=float(load),
        achieved_rps=achieved,
        arrivals_rps=float(load),
        window_s=window_s,
        started_at="",
        ledger=Ledger(count, count, 0, 0, 0, 0),
        errors={},
        latency=latency,
        latency_bounds={},
        service=latency,
        send_lag=quick,
        loop_lag=quick,
        usage={"app": usage},
        connections_peak=servers,
        connections_active_peak=servers,
        gauges={},
        holds=not missed,
        misses=missed,
        valid=True,
        reasons=(),
    )


def response_ms(truth: Truth, load: float, window_s: float) -> tuple[float, float, float, float]:
    """Return the p50, p95, p99 and maximum of the response times, milliseconds.

    Parameters
    ----------
    truth : of the variant.
    load : arrivals per second.
    window_s : of the step: beyond its capacity a queue grows until it ends.
    """
    capacity = truth.capacity_rps
    if load >= capacity:
        longest = truth.service_ms + 1000 * window_s * (1 - capacity / load)
        return longest / 2, longest * 0.95, longest * 0.99, longest
    p50, p95, p99, most = (quantile_ms(truth, load, each) for each in (0.5, 0.95, 0.99, 0.999))
    return p50, p95, p99, most


def quantile_ms(truth: Truth, load: float, level: float) -> float:
    """Return a quantile of the response time below capacity, milliseconds."""
    from scipy.optimize import brentq

    def exceeded(ms: float) -> float:
        return longer_than(truth, load, ms) - (1 - level)

    longest = truth.service_ms
    while exceeded(longest) > 0:
        longest *= 2
    return float(brentq(exceeded, 0, longest))


def longer_than(truth: Truth, load: float, ms: float) -> float:
    """Return the share of responses that take longer: waiting and service together."""
    pace = 1 / truth.service_ms
    waits = erlang_c(truth.servers, load * truth.service_ms / 1000)
    free = truth.servers - 1 - load * truth.service_ms / 1000
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

    def _nothing(self, *_: object, **__: object) -> None:
        """Show nothing."""

    service = trial = block = step = end = _nothing
