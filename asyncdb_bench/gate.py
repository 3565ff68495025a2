"""The gate's decision on one figure, looked at while blocks come in. Pure.

The null hypothesis is that head is worse by no more than the threshold: 5 %, or what the same
night's A/A shows to be noise, whichever is more. It is looked at after several numbers of blocks;
the error that each look may make is spent from one purse (Lan and DeMets, *Biometrika* 70, 1983).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench import stats
from asyncdb_bench.effects import Figure

CONFIRMING = 1000
"""Number of the first confirming block."""

Values = Sequence[float] | NDArray[np.float64]
VERDICTS = ("regress", "invalid", "inconclusive", "improve", "pass")
"""Of a whole night: the first of these that any cell says."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the gate decides.

    Parameters
    ----------
    least : ratio - 1 from which on a change matters.
    alpha : one-sided false-alarm rate of a cell, over all looks, at a change of just `least`.
    detect : ratio - 1 that a night must have been able to see, with `power`, to say *pass*.
    power : of that.
    first, every, most : looks are taken after `first` blocks and then every so many, up to `most`.
    """

    least: float = 0.05
    alpha: float = 0.05
    detect: float = 0.10
    power: float = 0.8
    first: int = 4
    every: int = 2
    most: int = 12

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of blocks after which it looks."""
        return (*range(self.first, self.most, self.every), self.most)


@dataclass(frozen=True, slots=True)
class Series:
    """What a decision rests on, as log ratios; above 0 head is worse.

    Parameters
    ----------
    worse : head against base, one per block.
    noise : base against itself, one per block; empty: there is no A/A.
    """

    worse: tuple[float, ...]
    noise: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What one look says; ratios above 1 mean that head is worse.

    Parameters
    ----------
    verdict : ``regress`` (suspected, until confirmed), ``improve``, ``pass``, ``inconclusive``, or
        ``open`` while blocks may be added.
    n : blocks.
    ratio, low, high : geometric mean and its interval, each side at the level of this look.
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
    """Return how much of alpha may be spent when a share of the blocks is in.

    The spending function of O'Brien and Fleming's type: little early on, the rest at the end.

    Parameters
    ----------
    alpha : one-sided, over all looks.
    share : of the information, 0 to 1.
    """
    from scipy.special import ndtr, ndtri

    return float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(share))) if share > 0 else 0.0


def alpha_at(rules: Rules, blocks: int, *, final: bool = False) -> float:
    """Return the error that the look after so many blocks may make.

    What has been added to the purse since the look before: by Bonferroni's inequality all looks
    together then err at most at `alpha`, whatever their dependence. The final look may spend all
    that is left: that the time was over does not depend on what was measured.
    """
    before = [each for each in rules.looks if each < blocks]
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
        return stats.t_bounds(self.centre, self.error, self.freedom, 1 - 2 * alpha)


def estimate(worse: Values) -> Estimate:
    """Estimate from log ratios, one per block of at least one."""
    n, centre = len(worse), float(np.mean(worse))
    if n < 2:
        return Estimate(n, centre, math.nan, 0, math.nan)
    spread = float(np.std(worse, ddof=1))
    return Estimate(n, centre, spread / math.sqrt(n), n - 1, spread)


def estimate_between(base: Values, head: Values) -> Estimate:
    """Estimate from the logarithms of two runs' blocks, which are not paired (Welch)."""
    n, centre = min(len(base), len(head)), float(np.mean(head) - np.mean(base))
    if n < 2:
        return Estimate(n, centre, math.nan, 0, math.nan)
    error, freedom = stats.welch(base, head)
    return Estimate(n, centre, error, freedom, error * math.sqrt(n))


def look(series: Series, rules: Rules, blocks: int, *, final: bool = False) -> Look:
    """Look at what has come in so far.

    Parameters
    ----------
    series : of one cell; it may have fewer values than there were blocks (invalid steps).
    rules, blocks, final : as :func:`look_at`.
    """
    noise = stats.noise_ratio(series.noise) if series.noise else 1.0
    if not series.worse:
        return Look("invalid", 0, math.nan, threshold=max(1 + rules.least, noise), noise=noise)
    return look_at(estimate(series.worse), noise, rules, blocks, final=final)


def look_at(
    found: Estimate, noise: float, rules: Rules, blocks: int, *, final: bool = False
) -> Look:
    """Look at an estimate.

    Parameters
    ----------
    found : of one cell.
    noise : ratio that the A/A's mean stays within; 1 where there is none.
    rules : how to decide.
    blocks : blocks that were run so far, one of `rules.looks`, or any number if `final`.
    final : no more blocks will come.

    Returns
    -------
    Look : *regress* by the bound at this look's level; *improve* by the 99 % bound; *pass* where
        the 95 % upper bound is below the threshold and below `rules.detect`, or where at the end
        nothing was seen though `rules.detect` would have been.
    """
    threshold = max(1 + rules.least, noise)
    if found.n < 2:
        verdict = "inconclusive" if final else "open"
        return Look(verdict, found.n, math.exp(found.centre), threshold=threshold, noise=noise)
    low, high = found.bounds(alpha_at(rules, blocks, final=final))
    two_sided = 2 * rules.alpha
    seen = Look(
        verdict="open",
        n=found.n,
        ratio=math.exp(found.centre),
        low=math.exp(max(low, -700)),
        high=math.exp(min(high, 700)),
        threshold=threshold,
        noise=noise,
        mde=math.exp(min(stats.detectable(found.spread, found.n, two_sided, rules.power), 700)),
        needed=stats.blocks_needed(
            found.spread, math.log(1 + rules.detect), two_sided, rules.power
        ),
    )
    if low > math.log(threshold):
        return replace(seen, verdict="regress")
    # no alarm, so it is not paid from the purse
    if found.bounds(0.01)[1] < -math.log(threshold):
        return replace(seen, verdict="improve")
    # noise beyond what a night must be able to see is no reason to call it quiet
    if found.bounds(0.05)[1] < math.log(min(threshold, 1 + rules.detect)):
        return replace(seen, verdict="pass")
    if not final:
        return seen
    able = seen.mde is not None and max(seen.mde, noise) <= 1 + rules.detect
    return replace(
        seen, verdict="pass" if able and found.centre < math.log(threshold) else "inconclusive"
    )


def confirms(again: Series, threshold: float) -> bool:
    """Return whether fresh blocks agree with a suspected regression.

    They do where their mean lies beyond the threshold and its one-sided 95 % bound above no change.

    Parameters
    ----------
    again : of the fresh blocks alone.
    threshold : of the look that suspected.
    """
    if len(again.worse) < 2:
        return False
    found = estimate(again.worse)
    return found.centre > math.log(threshold) and found.bounds(0.05)[0] > 0


def replay(series: Series, rules: Rules, again: Series) -> Look:
    """Decide as a night would on blocks that were all measured before.

    Parameters
    ----------
    series : at least `rules.most` blocks; no more are used than a night would.
    rules : how to decide.
    again : fresh blocks, of which a confirmation takes as many as the decision took.
    """
    for blocks in rules.looks:
        part = Series(series.worse[:blocks], series.noise[:blocks])
        seen = look(part, rules, blocks, final=blocks == rules.looks[-1])
        if seen.verdict != "open":
            break
    if seen.verdict == "regress" and not confirms(
        Series(again.worse[: seen.n], again.noise[: seen.n]), seen.threshold
    ):
        return replace(seen, verdict="inconclusive")
    return seen


@dataclass(frozen=True, slots=True)
class GateCell:
    """The decision on one figure of one strategy in one scenario.

    Parameters
    ----------
    scenario, strategy : labels.
    figure : what was decided on.
    offered_rps : at which load; None for a capacity.
    base_mean, head_mean : medians over blocks, in the figure's unit.
    look : the last look; its verdict is final.
    confirmed : whether fresh blocks agreed; None: it was not asked.
    doubt : why it is invalid; empty where it is not.
    """

    scenario: str
    strategy: str
    figure: Figure
    offered_rps: float | None
    base_mean: float | None
    head_mean: float | None
    look: Look
    confirmed: bool | None = None
    doubt: str = ""

    @property
    def verdict(self) -> str:
        """One of :data:`VERDICTS`."""
        return "invalid" if self.doubt else self.look.verdict

    @property
    def words(self) -> str:
        """The verdict in a sentence's end."""
        look = self.look
        if self.doubt:
            return f"invalid: {self.doubt}"
        if self.verdict == "inconclusive":
            return f"inconclusive: {self._why_open()}"
        # the natural ratio of a capacity is the other way round
        change = (1 / look.ratio if self.figure.more_is_better else look.ratio) - 1
        beyond = f"beyond {look.threshold - 1:.0%}"
        if self.verdict == "regress":
            sure = "; fresh blocks agree" if self.confirmed else "; not confirmed by fresh blocks"
            return f"regress: {change:+.0%}, {beyond}{sure}"
        if self.verdict == "improve":
            return f"improve: {change:+.0%}, {beyond}"
        return "pass"

    def _why_open(self) -> str:
        look = self.look
        if self.confirmed is False:
            return f"{look.ratio - 1:+.0%} was suspected, fresh blocks did not agree"
        if look.low is not None and look.low > look.threshold:
            return f"{look.ratio - 1:+.0%} is suspected, and there was no time to confirm it"
        if look.mde is None:
            return "one block tells nothing; give it more time"
        if max(look.noise, 1.0) > look.mde:
            return f"base differs from itself by up to {look.noise - 1:.0%} tonight"
        needed = f"{look.needed} blocks" if look.needed else "no number of blocks"
        return f"nothing below {look.mde - 1:.0%} could have been seen; {needed} would do"


def series_of(
    figure: Figure,
    base: Sequence[dict[int, float]],
    head: dict[int, float],
) -> tuple[Series, list[float], list[float]]:
    """Return a decision's series from a figure's values by block.

    Parameters
    ----------
    figure : whose floor is added and whose direction counts.
    base : of each copy of the base: one, or two for an A/A.
    head : of head.

    Returns
    -------
    The series, and the values of base (geometric mean of its copies) and head in the blocks that
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
        Series(worse, noise),
        [math.exp(middle[b]) - figure.floor for b in both],
        [head[b] for b in both],
    )


def _logs(values: dict[int, float], floor: float) -> dict[int, float]:
    return {b: math.log(value + floor) for b, value in values.items() if value + floor > 0}


def overall(verdicts: Iterable[str]) -> str:
    """Return the verdict of a whole night; *invalid* where nothing was decided."""
    found = set(verdicts)
    return next((each for each in VERDICTS if each in found), "invalid")


@dataclass(frozen=True, slots=True)
class GateResult:
    """A night's decisions.

    Parameters
    ----------
    base, head : what was compared, in words.
    verdict : of the whole, see :func:`overall`.
    cells : one per scenario, strategy and figure.
    blocks : that were run, those of confirmations aside.
    confirmation_blocks : fresh blocks of the cells under suspicion.
    notes : what a reader should know.
    rules : how it was decided.
    """

    base: str
    head: str
    verdict: str
    cells: tuple[GateCell, ...]
    blocks: int
    confirmation_blocks: int
    notes: tuple[str, ...]
    rules: Rules
