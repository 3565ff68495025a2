"""Ratios of two variants over rounds in blocks, with intervals that know of both. Pure.

Launches and rounds are different sources of spread (Kalibera and Jones, *Rigorous benchmarking in
reasonable time*, ISMM 2013): two launches of the same program differ by more than two seconds of
one. So a ratio is taken within each round, where both had their turn within seconds (Abedi and
Brecht, *Conducting repeatable experiments in highly variable cloud computing environments*, ICPE
2017), then averaged within the block, and the blocks are the unit of replication. What rounds
spread is in the blocks' spread already.

Few launches borrow the spread of all variants of the same kinds (those with a broker move together
from launch to launch, by more than those without): that of an additive model of variants and blocks
(:func:`statistics.block_spread`) counts beside the pair's own, each by its degrees of freedom
(Smyth, *Statistical Applications in Genetics* 3, 2004: the moderated t).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asyncdb_bench.analysis import statistics

BORROWED = 8
"""Degrees of freedom of all variants' spread that count at most beside a pair's own: a pair that
is noisier than the rest is not made quiet by them."""
FEW = 5
"""With fewer degrees of freedom two blocks that agree by chance would pass for certainty: the
error is then at least what the rounds, of which there are more, leave by themselves."""
CONFIDENCE = 0.975
"""Of an interval as computed; it holds with 95 %. The run looks after each block whether it is
sharp enough, and stops there: such intervals are a little too often too narrow. By simulation
(``benchmarks/looks.py``) 97.5 % at each look leave 94.5 % to 97 %."""
HOLDS = 0.95
POWER = 0.8

Rounds = Mapping[int, float]
"""A figure's values by round of one block; what is made of all rounds together has one, -1."""
Cells = Mapping[int, Rounds]
"""A figure's values by block and round, of one variant."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one figure over all variants of a scenario, as standard deviations of logarithms.

    Parameters
    ----------
    block : of one variant's value in a block, what all variants share taken off.
    freedom : its degrees of freedom; 0: not known.
    round : of a value in a round, within blocks; 0: not known.
    launch : what a launch adds to what its rounds explain.
    """

    block: float
    freedom: int
    round: float
    launch: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """By what ratio one variant differs from another.

    Parameters
    ----------
    centre : natural logarithm of the ratio.
    error : its standard error; NaN: not known.
    freedom : degrees of freedom of the error.
    compared : variants of which all pairs are told apart at once.
    blocks : that it rests on.
    """

    centre: float
    error: float
    freedom: float
    compared: int
    blocks: int

    @property
    def ratio(self) -> float:
        """The ratio."""
        return math.exp(self.centre)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The interval, which holds for all pairs of variants at once; None: not known."""
        if not self.known:
            return None
        half = self.half_width
        return math.exp(self.centre - half), math.exp(self.centre + half)

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.freedom >= 1 and math.isfinite(self.error)

    @property
    def half_width(self) -> float:
        """Of the interval, as a logarithm; infinite: not known."""
        if not self.known:
            return math.inf
        return all_pairs_quantile(self.compared, self.freedom, CONFIDENCE) * self.error

    @property
    def within(self) -> float:
        """The least ratio - 1 within which the two are shown to be the same; infinite: not known.

        Two one-sided tests (Schuirmann, *Journal of Pharmacokinetics and Biopharmaceutics* 15,
        1987) at half of what an interval may err.
        """
        if not self.known:
            return math.inf
        _, far = statistics.t_bounds(abs(self.centre), self.error, self.freedom, _EQUIVALENCE)
        return math.exp(min(far, 700)) - 1

    @property
    def smallest(self) -> float | None:
        """The smallest ratio above 1 that such a measurement shows, four times in five."""
        if not self.known:
            return None
        from scipy.special import stdtrit

        quantile = all_pairs_quantile(self.compared, self.freedom, CONFIDENCE)
        return math.exp(min((quantile + float(stdtrit(self.freedom, POWER))) * self.error, 700))


_EQUIVALENCE = 1 - 2 * (1 - CONFIDENCE)


@functools.lru_cache(maxsize=4096)
def all_pairs_quantile(compared: int, freedom: float, confidence: float) -> float:
    """Return by how many standard errors any of all pairs strays at most.

    Parameters
    ----------
    compared : variants: 2 gives Student's t.
    freedom : degrees of freedom.
    confidence : for all pairs together (Tukey's studentized range: the best is chosen after the
        fact, so the interval must hold for whichever two are named).
    """
    from scipy.special import stdtrit
    from scipy.stats import studentized_range

    if compared <= 2:
        return float(stdtrit(freedom, (1 + confidence) / 2))
    return float(studentized_range.ppf(confidence, compared, round(freedom, 1))) / math.sqrt(2)


def block_values(cells: Cells) -> dict[int, float]:
    """Return a variant's values by block: geometric means over the rounds."""
    return {
        block: statistics.geometric_mean(list(rounds.values()))
        for block, rounds in cells.items()
        if rounds
    }


def spread_of(cells: Sequence[Cells]) -> Spread:
    """Return how a figure of several variants spreads over blocks and over rounds."""
    block, freedom = statistics.block_spread([block_values(each) for each in cells])
    squares, left, rounds = 0.0, 0, []
    for number in sorted({block for each in cells for block in each}):
        own = [each[number] for each in cells if each.get(number)]
        rounds += [len(each) for each in own]
        sd, df = statistics.block_spread(own)
        squares, left = squares + sd * sd * df, left + df
    within = math.sqrt(squares / left) if left else 0.0
    of_rounds = within**2 / (sum(rounds) / len(rounds)) if rounds else 0.0
    return Spread(block, freedom, within, math.sqrt(max(0.0, block**2 - of_rounds)))


def pair_logs(one: Cells, other: Cells) -> dict[int, float]:
    """Return the mean log ratio of each block, of the rounds in which both have a value."""
    logs = {}
    for block in sorted(one.keys() & other.keys()):
        both = sorted(one[block].keys() & other[block].keys())
        if both:
            logs[block] = float(np.mean([math.log(other[block][r] / one[block][r]) for r in both]))
    return logs


def rounds_of(one: Cells, other: Cells) -> float:
    """Return how many rounds of a block have both, on average; at least 1."""
    counts = [len(one[block].keys() & other[block].keys()) for block in one.keys() & other.keys()]
    known = [count for count in counts if count]
    return sum(known) / len(known) if known else 1.0


def ratio_of(
    one: Cells, other: Cells, spread: Spread, compared: int, beyond: Spread | None = None
) -> Ratio | None:
    """Return the ratio of the second variant to the first; None where no block has both.

    Parameters
    ----------
    one, other : a figure's positive values.
    spread : of the variants that are of their kinds.
    compared : variants of the scenario.
    beyond : spread of all of them, of which a little is borrowed where that leaves too few degrees
        of freedom; None: nothing more is known.
    """
    logs = list(pair_logs(one, other).values())
    if not logs:
        return None
    n, centre = len(logs), float(np.mean(logs))
    own = n - 1
    borrowed = min(max(spread.freedom - own, 0), BORROWED)
    if own + borrowed < 1 and (beyond is None or not beyond.freedom):
        return Ratio(centre, math.nan, 0, compared, n)
    squares = float(np.var(logs, ddof=1)) * own if own else 0.0
    squares += 2 * spread.block**2 * borrowed
    freedom = own + borrowed
    if beyond is not None:
        more = min(max(FEW + 1 - freedom, 0), max(beyond.freedom - freedom, 0))
        squares += 2 * beyond.block**2 * more
        freedom += more
    variance = squares / freedom
    if freedom < FEW:
        variance = max(variance, 2 * spread.round**2 / rounds_of(one, other))
    return Ratio(centre, math.sqrt(variance / n), freedom, compared, n)
