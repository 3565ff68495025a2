"""The one way from values by launch and round to a ratio with an interval, and what it says. Pure.

A ratio of two variants is taken within each round, where both had their turn within seconds (Abedi
and Brecht, *Conducting repeatable experiments in highly variable cloud computing environments*,
ICPE 2017). Rounds lie within launches, and both stray (Kalibera and Jones, *Rigorous benchmarking
in reasonable time*, ISMM 2013): the logarithm of a ratio is

    log ratio of round r in launch l = effect + deviation of l + deviation of r

The rounds' spread is known well from many rounds. How far a launch strays is hardly known from one
or two, so its variance starts from a cautious prior (:mod:`.launch_prior`) and is
moderated by what the launches at hand show, each by its degrees of freedom (Smyth, *Statistical
Applications in Genetics* 3, 2004). The error adds up both; its degrees of freedom are
Satterthwaite's (*Biometrics Bulletin* 2, 1946). All pairs of variants hold at once by Tukey's
studentized range.

The figures are cautious ones: in the reference of version 0.8 a launch added 1 % at most to a pace.
``benchmarks/launch_spread.py`` measures them, from many launches of the same variants. What a run's
own launches show, and those of earlier runs on the same machine, moderate them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.step.histogram import GROWTH
from asyncdb_bench.records.files import Seen


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that is compared.

    Parameters
    ----------
    name : of the figure, as in ``summary.json``.
    title, unit : for people.
    more_is_better : whether a ratio above 1 is good.
    floor : added before ratios are taken, in the figure's unit: differences far below it do not
        matter, whatever their ratio.
    grain : standard error that a value has by the bins that it is read from, as a share.
    quantile : of the distribution that it is, 0 to 1; 0: it is none.
    """

    name: str
    title: str
    unit: str
    more_is_better: bool = False
    floor: float = 0.0
    grain: float = 0.0
    quantile: float = 0.0


BIN = GROWTH / math.sqrt(12)
"""Standard deviation of a uniform error within one bin."""
PACE = Metric("pace_rps", "pace", "1/s", more_is_better=True)
CAPACITY = Metric("capacity_rps", "capacity", "1/s", more_is_better=True)
P50 = Metric("p50_ms", "p50", "ms", grain=BIN, quantile=0.5)
P95 = Metric("p95_ms", "p95", "ms", grain=BIN, quantile=0.95)
P99 = Metric("p99_ms", "p99", "ms", grain=BIN, quantile=0.99)
FREEZE = Metric(
    "loop_lag_p99_ms",
    "loop freeze",
    "ms",
    floor=1.0,
    grain=BIN,
    quantile=0.99,
)
CPU = Metric("cpu_ms_per_request", "CPU per request", "ms")
GOODPUT = Metric("goodput_share", "goodput", "x pace", more_is_better=True, floor=0.02)
"""In and after an overload; of those alone that were overloaded, so that it is in no other list."""
METRICS = (PACE, CAPACITY, P50, P95, P99, FREEZE, CPU)


FEWEST_ROUNDS = 3
"""Of a figure that each round has a value of, before anything is said of it."""
BORROWED = 6
"""Degrees of freedom of all variants' spread over rounds that count beside a pair's own: few rounds
are steadied by it, many are not."""
CONFIDENCE = 0.975
"""Of an interval as computed; it holds with 95 %. A run looks again and again whether it is sharp
enough, and stops there: such intervals are a little too often too narrow. By simulation
(``benchmarks/looks.py``) 97.5 % at each look leave 95 %."""
HOLDS = 0.95
POWER = 0.8

WHOLE = -1
"""The round of a figure that a launch has one of: it strays from launch to launch alone."""
Rounds = Mapping[int, float]
"""A figure's values by round of one launch."""
Cells = Mapping[int, Rounds]
"""A figure's positive values by launch and round, of one variant."""


class Said(StrEnum):
    """What is said of one thing beside another: the one vocabulary of reports, gates and advice."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "the same"
    UNKNOWN = "not known"
    UNSOUND = "not sound"


@dataclass(frozen=True, slots=True)
class Prior:
    """How far launches of one variant stray, before those at hand are looked at.

    Parameters
    ----------
    sd : standard deviation of the logarithm of a figure from launch to launch, beside what the
        rounds explain.
    freedom : degrees of freedom that it is worth.
    """

    sd: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Slack:
    """By how much a figure may be wrong in the same direction in all rounds, as logarithms.

    Parameters
    ----------
    down, up : by how much the true value may be lower and higher; not negative.
    doubt : whether something was in doubt. Else it is how finely was looked: a load between two
        rungs of a ladder, a percentile of one window.
    """

    down: float = 0.0
    up: float = 0.0
    doubt: bool = False

    @property
    def inverse(self) -> Slack:
        """Of the inverse value."""
        return Slack(self.up, self.down, self.doubt)

    def over(self, other: Slack) -> Slack:
        """Return the slack of a ratio: this value over another."""
        doubt = self.doubt or other.doubt
        return Slack(self.down + other.up, self.up + other.down, doubt)


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one figure's rounds over all variants of a scenario.

    Parameters
    ----------
    round : standard deviation of a variant's logarithm in a round, what all variants share taken
        off; 0: not known.
    freedom : its degrees of freedom; 0: not known.
    """

    round: float = 0.0
    freedom: int = 0


@dataclass(frozen=True, slots=True)
class Ratio:
    """By what ratio one thing differs from another.

    Parameters
    ----------
    centre : natural logarithm of the ratio.
    error : its standard error; NaN: not known.
    freedom : degrees of freedom of the error.
    compared : things of which all pairs are told apart at once.
    launches, rounds : that it rests on, all launches together.
    slack : by how much the ratio may be wrong besides.
    """

    centre: float
    error: float
    freedom: float
    compared: int
    launches: int
    rounds: int
    slack: Slack = Slack()

    @property
    def ratio(self) -> float:
        """The ratio."""
        return math.exp(self.centre)

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.freedom >= 1 and math.isfinite(self.error)

    @property
    def half_width(self) -> float:
        """Of the interval without the slack, as a logarithm; infinite: not known."""
        if not self.known:
            return math.inf
        return all_pairs_quantile(self.compared, self.freedom, CONFIDENCE) * self.error

    @property
    def log_bounds(self) -> tuple[float, float]:
        """The interval with the slack, as logarithms."""
        half = self.half_width
        return self.centre - half - self.slack.down, self.centre + half + self.slack.up

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval, which holds for all pairs of variants at once; None: not known."""
        if not self.known:
            return None
        low, high = self.log_bounds
        return exp(low), exp(high)

    @property
    def within(self) -> float:
        """The least ratio - 1 within which the two are shown to be the same; infinite: not known.

        Two one-sided tests (Schuirmann, *Journal of Pharmacokinetics and Biopharmaceutics* 15,
        1987) at half of what an interval may err.
        """
        if not self.known:
            return math.inf
        one_sided = 1 - 2 * (1 - CONFIDENCE)
        low, high = statistics.t_bounds(self.centre, self.error, self.freedom, one_sided)
        return exp(max(self.slack.down - low, high + self.slack.up)) - 1

    @property
    def smallest(self) -> float | None:
        """The smallest ratio above 1 that such a measurement shows, four times in five."""
        if not self.known:
            return None
        from scipy.special import stdtrit

        quantile = all_pairs_quantile(self.compared, self.freedom, CONFIDENCE)
        return exp((quantile + float(stdtrit(self.freedom, POWER))) * self.error)

    @property
    def inverse(self) -> Ratio:
        """The ratio the other way round."""
        return replace(self, centre=-self.centre, slack=self.slack.inverse)


def exp(logarithm: float) -> float:
    """Return a ratio, one that no float holds cut off."""
    return math.exp(min(max(logarithm, -700.0), 700.0))


@functools.lru_cache(maxsize=4096)
def all_pairs_quantile(compared: int, freedom: float, confidence: float) -> float:
    """Return by how many standard errors any of all pairs strays at most.

    Parameters
    ----------
    compared : things: 2 gives Student's t.
    freedom : degrees of freedom; beyond 200 as without a limit.
    confidence : for all pairs together (Tukey's studentized range: the best is chosen after the
        fact, so the interval must hold for whichever two are named).
    """
    from scipy.special import stdtrit

    if compared <= 2:
        return float(stdtrit(freedom, (1 + confidence) / 2))
    if freedom > 10:
        # the quantile is nearly linear in 1 / freedom (its expansion in powers of it), and each
        # evaluation of the studentized range takes as long as what lies between two turns may
        share = 10 / freedom
        few, many = (_studentized(compared, each, confidence) for each in (10.0, math.inf))
        return many + (few - many) * share
    return _studentized(compared, max(1.0, round(freedom)), confidence)


@functools.lru_cache(maxsize=1024)
def _studentized(compared: int, freedom: float, confidence: float) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(confidence, compared, freedom)) / math.sqrt(2)


def pair_logs(one: Cells, other: Cells) -> dict[int, dict[int, float]]:
    """Return the log ratio of the second to the first by launch and round, where both have one."""
    logs = {
        launch: {
            number: math.log(other[launch][number] / one[launch][number])
            for number in sorted(one[launch].keys() & other[launch].keys())
        }
        for launch in sorted(one.keys() & other.keys())
    }
    return {launch: rounds for launch, rounds in logs.items() if rounds}


def spread_of(cells: Sequence[Cells]) -> Spread:
    """Return how a figure of several variants spreads over the rounds of its launches.

    The residuals of an additive model of variants and rounds, launch by launch.
    """
    squares, freedom = 0.0, 0
    for launch in sorted({launch for each in cells for launch in each}):
        own = [each[launch] for each in cells if each.get(launch)]
        sd, degrees = statistics.block_spread(own)
        squares, freedom = squares + sd * sd * degrees, freedom + degrees
    return Spread(math.sqrt(squares / freedom), freedom) if freedom else Spread()


def ratio_of(
    one: Cells,
    other: Cells,
    spread: Spread,
    compared: int,
    priors: tuple[Prior, Prior],
    slack: Slack = Slack(),
) -> Ratio | None:
    """Return the ratio of the second to the first; None where no round has both.

    Parameters
    ----------
    one, other : a figure's positive values.
    spread : of all variants that stray as they do.
    compared : variants of the scenario.
    priors : of both.
    slack : by how much the ratio may be wrong besides.
    """
    found = pair_logs(one, other)
    if not found:
        return None
    logs = [np.array(list(each.values())) for each in found.values()]
    if all(WHOLE in rounds for rounds in found.values()):
        spread = Spread(0.0, 1)
    return estimate(logs, 2 * spread.round**2, spread.freedom, compared, priors, slack)


def unpaired_ratio(
    one: Cells,
    other: Cells,
    compared: int,
    priors: tuple[Prior, Prior],
    slack: Slack = Slack(),
) -> Ratio | None:
    """Return the ratio of two things that were not measured in the same rounds: of two runs.

    Student's t as Welch has it (*Biometrika* 34, 1947). What differed between the two runs besides
    the things themselves is in the ratio and not in the interval.
    """
    sides = []
    for cells, prior in zip((one, other), priors, strict=True):
        logs = [np.log(list(rounds.values())) for rounds in cells.values() if rounds]
        if not logs:
            return None
        whole = int(all(WHOLE in rounds for rounds in cells.values() if rounds))
        both = (prior, Prior(0.0, prior.freedom))
        sides.append(estimate(logs, 0.0, whole, compared, both, Slack()))
    mine, theirs = sides
    error = math.hypot(mine.error, theirs.error)
    freedom = satterthwaite([(s.error**2, s.freedom) for s in sides]) if error > 0 else 0.0
    return Ratio(
        theirs.centre - mine.centre,
        error,
        freedom,
        compared,
        min(mine.launches, theirs.launches),
        min(mine.rounds, theirs.rounds),
        slack,
    )


def estimate(
    logs: Sequence[np.ndarray],
    borrowed_variance: float,
    borrowed_freedom: int,
    compared: int,
    priors: tuple[Prior, Prior],
    slack: Slack,
) -> Ratio:
    """Return the mean of log ratios over rounds in launches, with its error.

    Parameters
    ----------
    logs : of each launch, shape (rounds,).
    borrowed_variance, borrowed_freedom : of a round's log ratio by all variants' spread.
    compared, priors, slack : as :func:`ratio_of`.
    """
    counts = np.array([len(each) for each in logs], float)
    means = np.array([float(np.mean(each)) for each in logs])
    launches, rounds = len(logs), int(counts.sum())
    own = rounds - launches
    # those of the pair itself are in the spread of all, too, and count once
    borrowed = min(max(borrowed_freedom - own, 0), BORROWED)
    squares = sum(float(((each - each.mean()) ** 2).sum()) for each in logs)
    round_freedom = own + borrowed
    if not round_freedom:
        centre = float(np.average(means, weights=counts))
        return Ratio(centre, math.nan, 0.0, compared, launches, rounds, slack)
    within = (squares + borrowed_variance * borrowed) / round_freedom
    between, between_freedom = launch_variance(means, counts, within, priors)
    weights = 1 / np.maximum(between + within / counts, 1e-300)
    weights /= weights.sum()
    centre = float((weights * means).sum())
    by_launch = float((weights**2).sum()) * between
    by_round = float((weights**2 / counts).sum()) * within
    error = math.sqrt(by_launch + by_round)
    freedom = satterthwaite([(by_launch, between_freedom), (by_round, round_freedom)])
    return Ratio(centre, error, freedom, compared, launches, rounds, slack)


def launch_variance(
    means: np.ndarray,
    counts: np.ndarray,
    within: float,
    priors: tuple[Prior, Prior],
) -> tuple[float, float]:
    """Return the variance of a launch's log ratio, the prior moderated by what was seen.

    Parameters
    ----------
    means, counts : of each launch's rounds, shape (launches,).
    within : variance of a round's log ratio.
    priors : of both sides, whose variances add up.

    Returns
    -------
    The variance and its degrees of freedom. What was seen is the estimate by moments of an
    unbalanced one-way model (Searle and others, *Variance Components*, 3.6), not below 0.
    """
    prior = sum(each.sd**2 for each in priors)
    prior_freedom = min(each.freedom for each in priors)
    own_freedom = float(len(means) - 1)
    if not own_freedom:
        return prior, prior_freedom
    total = counts.sum()
    centre = float((counts * means).sum() / total)
    squares = float((counts * (means - centre) ** 2).sum())
    scale = float(total - (counts**2).sum() / total)
    seen = (squares - own_freedom * within) / scale
    own_freedom *= informed(prior, within * len(means) / total)
    freedom = prior_freedom + own_freedom
    return max(0.0, (prior * prior_freedom + seen * own_freedom) / freedom), freedom


def informed(variance: float, noise: float) -> float:
    """Return which share of its degrees of freedom an estimate of a launch's variance is worth.

    What is seen is the variance of the launches and of the rounds' means together, the latter taken
    off: it strays as the sum of both does, so that few or noisy rounds say little.

    Parameters
    ----------
    variance : of launches, as it is usual.
    noise : variance of a launch's mean over its rounds.
    """
    return (variance / (variance + noise)) ** 2 if variance else 0.0


def satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of variances; infinite where none is uncertain.

    Parameters
    ----------
    parts : each variance, and the degrees of freedom that it is known with.
    """
    total = sum(variance for variance, _ in parts)
    spread = sum(variance**2 / freedom for variance, freedom in parts if variance and freedom)
    return total**2 / spread if spread else math.inf


def combined_cells(copies: Sequence[Cells]) -> dict[int, dict[int, float]]:
    """Return the geometric means of several copies of one thing, by launch and round."""
    logs: dict[int, dict[int, list[float]]] = {}
    for cells in copies:
        for launch, rounds in cells.items():
            for number, value in rounds.items():
                logs.setdefault(launch, {}).setdefault(number, []).append(math.log(value))
    return {
        launch: {number: math.exp(sum(each) / len(each)) for number, each in rounds.items()}
        for launch, rounds in logs.items()
    }


def classify(metric: Metric, ratio: Ratio | None, equal: float) -> Said:
    """Return what a ratio says of the second thing beside the first.

    Parameters
    ----------
    metric : of the ratio.
    ratio : None: there is none.
    equal : ratio - 1 within which two are the same.
    """
    if ratio is None or not ratio.known:
        return Said.UNKNOWN
    if metric in (PACE, CPU, GOODPUT) and ratio.rounds < FEWEST_ROUNDS:
        # the spread is then that of others, and one round may be the first after a start
        return Said.UNKNOWN
    said = _classify(metric, ratio, equal)
    if not ratio.slack.doubt:
        return said
    without = _classify(metric, replace(ratio, slack=Slack()), equal)
    # what may be wrong besides counts where it could turn the answer, and only there
    return said if said is without or without is Said.UNKNOWN else Said.UNSOUND


def _classify(metric: Metric, ratio: Ratio, equal: float) -> Said:
    if ratio.within <= equal:
        return Said.SAME
    low, high = ratio.log_bounds
    if low <= 0 <= high:
        return Said.UNKNOWN
    return Said.BETTER if (low > 0) == metric.more_is_better else Said.WORSE


def rounds_wanting(ratio: Ratio, equal: float, half_width: float) -> float:
    """Return how many times as many rounds would probably tell, should the ratio stay as it is.

    The interval narrows with the root of their number. It tells once it leaves out 1, once it lies
    within `equal`, or else once it is as narrow as is asked for.

    Parameters
    ----------
    ratio : whose interval is known.
    equal, half_width : ratios - 1.
    """
    far = abs(ratio.centre)
    room = math.log1p(equal) - far
    wanted = max(far, room if room > 0 else 0.0, math.log1p(half_width))
    return (ratio.half_width / wanted) ** 2


FREEDOM = 8.0
"""What they are worth: they may be wrong by a third."""
MOST_FREEDOM = 60.0
"""What earlier runs on a machine add up to at most: variants and versions change."""
LEAST = 0.3
"""Share of what is usual below which no machine's launches are taken to stray."""
MEASURED: Mapping[str, tuple[float, float]] = {
    PACE.name: (0.008, 0.020),
    CPU.name: (0.008, 0.015),
    CAPACITY.name: (0.010, 0.025),
    P50.name: (0.010, 0.025),
    P95.name: (0.020, 0.040),
    P99.name: (0.030, 0.060),
    FREEZE.name: (0.040, 0.060),
    GOODPUT.name: (0.050, 0.080),
}
"""Standard deviations of logarithms by metric: of variants without and with a broker."""


def key_of(metric: Metric, *, with_broker: bool) -> str:
    """Return what tells the spreads of a metric and of a kind of variant."""
    return f"{metric.name}{'+broker' if with_broker else ''}"


def prior_of(metric: Metric, *, with_broker: bool, seen: Seen) -> Prior:
    """Return the prior of a metric.

    Parameters
    ----------
    metric : which.
    with_broker : whether the variant works over a broker, whose launches stray more.
    seen : on this machine before.
    """
    sd = MEASURED[metric.name][with_broker]
    found = seen.get(key_of(metric, with_broker=with_broker))
    if found is None or not found.freedom:
        return Prior(sd, FREEDOM)
    more = min(found.freedom, MOST_FREEDOM)
    variance = (FREEDOM * sd**2 + more * found.variance) / (FREEDOM + more)
    return Prior(max(variance, (LEAST * sd) ** 2) ** 0.5, FREEDOM + more)
