"""The gate's decision on one figure, analysed while blocks come in. Pure.

The null hypothesis is that head is worse by no more than the threshold: 5 %, or what the A/A of the
same run shows to be noise, whichever is more. It is tested at interim analyses after several
numbers of blocks, whose errors together stay within alpha (Lan and DeMets, *Biometrika* 70, 1983).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.analysis import statistics
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.regression.effects import Figure

Values = Sequence[float] | NDArray[np.float64]
VERDICTS = ("regress", "invalid", "inconclusive", "improve", "pass")
"""Of a whole gate: the first of these that any decision says."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the gate decides.

    Parameters
    ----------
    least : ratio - 1 from which on a change matters.
    alpha : one-sided false-alarm rate of a decision, over all interim analyses, at a change of just
        `least`.
    detect : ratio - 1 that the blocks must have been able to show, with `power`, to say *pass*.
    power : of that.
    first, every, most : interim analyses follow `first` blocks and then every so many, up to
        `most`.
    """

    least: float = 0.05
    alpha: float = 0.05
    detect: float = 0.10
    power: float = 0.8
    first: int = 4
    every: int = 2
    most: int = 12

    @property
    def analyses(self) -> tuple[int, ...]:
        """The numbers of blocks after which an interim analysis is made."""
        return (*range(self.first, self.most, self.every), self.most)


@dataclass(frozen=True, slots=True)
class LogRatios:
    """What a decision rests on, as log ratios; above 0 head is worse.

    Parameters
    ----------
    worse : head against base, one per block.
    noise : base against itself, one per block; empty: there is no A/A.
    """

    worse: tuple[float, ...]
    noise: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Interim:
    """What one interim analysis says; ratios above 1 mean that head is worse.

    Parameters
    ----------
    verdict : ``regress`` (suspected, until confirmed), ``improve``, ``pass``, ``inconclusive``, or
        ``open`` while blocks may be added.
    n : blocks.
    ratio, low, high : geometric mean and its interval, each side at the level of this analysis.
    threshold : above which the whole interval must lie to be a regression.
    noise : what the A/A's mean stays within; 1 where there is none.
    mde : smallest ratio that this many blocks would have shown to differ from 1; None: one block.
    needed : blocks that would show a change of `detect`; None: over 1,000, or not known.
    """

    verdict: str
    n: int
    ratio: float
    low: float | None = None
    high: float | None = None
    threshold: float = 1.05
    noise: float = 1.0
    mde: float | None = None
    needed: int | None = None


def spent(alpha: float, share: float) -> float:
    """Return how much of alpha is spent when a share of the blocks has been measured.

    The spending function of O'Brien and Fleming's type: little early on, the rest at the end.

    Parameters
    ----------
    alpha : one-sided, over all interim analyses.
    share : of the information, 0 to 1.
    """
    from scipy.special import ndtr, ndtri

    return float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(share))) if share > 0 else 0.0


def alpha_at(rules: Rules, blocks: int, *, final: bool = False) -> float:
    """Return the alpha of the interim analysis after so many blocks.

    What the spending function has added since the analysis before: by Bonferroni's inequality all
    analyses together then err at most at `alpha`, whatever their dependence. The final one spends
    all that is left: that the time was over does not depend on what was measured.
    """
    before = [each for each in rules.analyses if each < blocks]
    already = spent(rules.alpha, before[-1] / rules.most) if before else 0.0
    return spent(rules.alpha, 1.0 if final else min(1.0, blocks / rules.most)) - already


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean log ratio: its standard error, degrees of freedom, and the blocks' spread.

    `spread` is the standard deviation of a (pair of) block's log ratio; NaN from one block.
    """

    n: int
    centre: float
    error: float
    freedom: float
    spread: float

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return the one-sided lower and upper bound at a level."""
        return statistics.t_bounds(self.centre, self.error, self.freedom, 1 - 2 * alpha)


def estimate(worse: Values) -> Estimate:
    """Estimate from log ratios, one per block of at least one."""
    n, centre = len(worse), float(np.mean(worse))
    if n < 2:
        return Estimate(n, centre, math.nan, 0, math.nan)
    spread = float(np.std(worse, ddof=1))
    return Estimate(n, centre, spread / math.sqrt(n), n - 1, spread)


def interim(  # noqa: PLR0911 - one return for each verdict
    ratios: LogRatios, rules: Rules, blocks: int, *, final: bool = False
) -> Interim:
    """Analyse what has been measured so far.

    Parameters
    ----------
    ratios : of one figure; it may have fewer values than there were blocks (invalid steps).
    rules : how to decide.
    blocks : that were run so far, one of `rules.analyses`, or any number if `final`.
    final : no more blocks will come.

    Returns
    -------
    Interim : *regress* by the bound at this analysis's alpha; *improve* by the 99 % bound; *pass*
        where the 95 % upper bound is below the threshold and below `rules.detect`, or where at the
        end nothing was seen though `rules.detect` would have been.
    """
    noise = statistics.noise_ratio(ratios.noise) if ratios.noise else 1.0
    threshold = max(1 + rules.least, noise)
    if not ratios.worse:
        return Interim("invalid", 0, math.nan, threshold=threshold, noise=noise)
    found = estimate(ratios.worse)
    if found.n < 2:
        verdict = "inconclusive" if final else "open"
        return Interim(verdict, found.n, math.exp(found.centre), threshold=threshold, noise=noise)
    low, high = found.bounds(alpha_at(rules, blocks, final=final))
    two_sided = 2 * rules.alpha
    seen = Interim(
        verdict="open",
        n=found.n,
        ratio=math.exp(found.centre),
        low=math.exp(max(low, -700)),
        high=math.exp(min(high, 700)),
        threshold=threshold,
        noise=noise,
        mde=math.exp(
            min(statistics.detectable(found.spread, found.n, two_sided, rules.power), 700)
        ),
        needed=statistics.blocks_needed(
            found.spread, math.log(1 + rules.detect), two_sided, rules.power
        ),
    )
    if low > math.log(threshold):
        return replace(seen, verdict="regress")
    # no alarm, so it spends no alpha
    if found.bounds(0.01)[1] < -math.log(threshold):
        return replace(seen, verdict="improve")
    # noise beyond what the blocks must be able to show is no reason to call it quiet
    if found.bounds(0.05)[1] < math.log(min(threshold, 1 + rules.detect)):
        return replace(seen, verdict="pass")
    if not final:
        return seen
    return replace(seen, verdict=at_the_end(seen, rules))


def at_the_end(seen: Interim, rules: Rules) -> str:
    """Return what an analysis says that decided nothing, when no more blocks will come."""
    able = seen.mde is not None and max(seen.mde, seen.noise) <= 1 + rules.detect
    return "pass" if able and seen.ratio < seen.threshold else "inconclusive"


LEAST_FRESH = 2
"""Fresh blocks below which nothing can be said of a spread."""


def confirms(again: LogRatios, threshold: float) -> bool:
    """Return whether fresh blocks agree with a suspected regression.

    They do where their mean lies beyond the threshold and its one-sided 95 % bound above no change.

    Parameters
    ----------
    again : of the fresh blocks alone.
    threshold : of the analysis that suspected.
    """
    if len(again.worse) < LEAST_FRESH:
        return False
    found = estimate(again.worse)
    return found.centre > math.log(threshold) and found.bounds(0.05)[0] > 0


def replay(ratios: LogRatios, rules: Rules, again: LogRatios) -> Interim:
    """Decide as a gate would on blocks that were all measured before.

    Parameters
    ----------
    ratios : at least `rules.most` blocks; no more are used than a gate would.
    rules : how to decide.
    again : fresh blocks, of which a confirmation takes as many as the decision took.
    """
    for blocks in rules.analyses:
        part = LogRatios(ratios.worse[:blocks], ratios.noise[:blocks])
        seen = interim(part, rules, blocks, final=blocks == rules.analyses[-1])
        if seen.verdict != "open":
            break
    if seen.verdict == "regress" and not confirms(
        LogRatios(again.worse[: seen.n], again.noise[: seen.n]), seen.threshold
    ):
        return replace(seen, verdict="inconclusive")
    return seen


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on one figure of one strategy in one scenario.

    Parameters
    ----------
    scenario, strategy : labels.
    figure : what was decided on.
    offered_rps : at which load; None for a capacity.
    base_mean, head_mean : medians over blocks, in the figure's unit.
    interim : the last analysis; its verdict is final.
    confirmed : whether fresh blocks agreed; None: it was not asked.
    doubt : why it is invalid; None where it is not.
    """

    scenario: str
    strategy: str
    figure: Figure
    offered_rps: float | None
    base_mean: float | None
    head_mean: float | None
    interim: Interim
    confirmed: bool | None = None
    doubt: Doubt | None = None

    @property
    def verdict(self) -> str:
        """One of :data:`VERDICTS`."""
        return "invalid" if self.doubt else self.interim.verdict

    @property
    def change(self) -> float | None:
        """Head / base - 1, in the figure's own direction; None where it is not known."""
        if not self.interim.n:
            return None
        ratio = self.interim.ratio
        return (1 / ratio if self.figure.more_is_better else ratio) - 1

    @property
    def change_interval(self) -> tuple[float, float] | None:
        """The bounds of :attr:`change`; None from one block alone."""
        low, high = self.interim.low, self.interim.high
        if low is None or high is None:
            return None
        return (1 / high - 1, 1 / low - 1) if self.figure.more_is_better else (low - 1, high - 1)


def log_ratios(
    figure: Figure, base: Sequence[dict[int, float]], head: dict[int, float]
) -> tuple[LogRatios, list[float], list[float]]:
    """Return what a decision rests on, from a figure's values by block.

    Parameters
    ----------
    figure : whose floor is added and whose direction counts.
    base : of each copy of the base: one, or two for an A/A.
    head : of head.

    Returns
    -------
    The log ratios, and the values of base (geometric mean of its copies) and head in the blocks
    that
    have both.
    """
    sign = -1.0 if figure.more_is_better else 1.0
    logs = [_logs(each, figure.floor) for each in base]
    ours = _logs(head, figure.floor)
    both = [b for b in sorted(ours) if any(b in each for each in logs)]
    middle = {b: float(np.mean([each[b] for each in logs if b in each])) for b in both}
    noise = (
        tuple(logs[1][b] - logs[0][b] for b in sorted(logs[0].keys() & logs[1].keys()))
        if len(logs) > 1
        else ()
    )
    worse = tuple(sign * (ours[b] - middle[b]) for b in both)
    return (
        LogRatios(worse, noise),
        [math.exp(middle[b]) - figure.floor for b in both],
        [head[b] for b in both],
    )


def _logs(values: dict[int, float], floor: float) -> dict[int, float]:
    return {b: math.log(value + floor) for b, value in values.items() if value + floor > 0}


def overall_verdict(verdicts: Iterable[str]) -> str:
    """Return the verdict of a whole gate; *invalid* where nothing was decided."""
    found = set(verdicts)
    return next((each for each in VERDICTS if each in found), "invalid")


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate's decisions.

    Parameters
    ----------
    base, head : what was compared, in words.
    verdict : of the whole, see :func:`overall_verdict`.
    decisions : one per scenario, strategy and figure.
    blocks : that were run, those of confirmations aside.
    confirmation_blocks : fresh blocks of what was under suspicion.
    notes : what a reader should know.
    rules : how it was decided.
    """

    base: str
    head: str
    verdict: str
    decisions: tuple[Decision, ...]
    blocks: int
    confirmation_blocks: int
    notes: tuple[str, ...]
    rules: Rules
