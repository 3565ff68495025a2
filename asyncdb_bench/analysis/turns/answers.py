"""Values of all variants -> what is said of two of them: one of three answers. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.turns.nested import Cells, Ratio, Spread, block_values, spread_of
from asyncdb_bench.analysis.turns.nested import ratio_of as nested_ratio
from asyncdb_bench.analysis.turns.values import DECIDING, Axis, cells
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.step import Step


class Said(StrEnum):
    """What is said of one variant beside another."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """One variant beside another on one axis.

    Parameters
    ----------
    axis : what is compared.
    one, other : labels; `other` is spoken of.
    ratio : of `other` to `one`; None: no block has both.
    said : one of three answers: different (better or worse), the same, not known.
    more_blocks : blocks that would probably tell; None: not known, or nothing is left to tell.
    """

    axis: Axis
    one: str
    other: str
    ratio: Ratio | None
    said: Said
    more_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One axis over all variants of a scenario.

    Parameters
    ----------
    axis : the figure.
    values : by variant, the geometric mean over blocks.
    cells : by variant, block and round.
    spread : over all variants.
    kinds : by variant: those of one kind move together from launch to launch.
    """

    axis: Axis
    values: Mapping[str, float]
    cells: Mapping[str, Cells]
    spread: Spread
    kinds: Mapping[str, str] = field(default_factory=dict)

    def spread_of(self, *names: str) -> Spread:
        """Return the spread over the variants that are of the kinds of some."""
        kinds = {self.kinds.get(name, "") for name in names}
        near = [each for name, each in self.cells.items() if self.kinds.get(name, "") in kinds]
        found = spread_of(near)
        return found if found.freedom else self.spread

    @property
    def best(self) -> str:
        """The variant with the best value; empty: none has one."""
        if not self.values:
            return ""
        pick = max if self.axis.more_is_better else min
        return pick(self.values, key=lambda name: self.values[name])

    def bounds(self, name: str) -> tuple[float, float] | None:
        """Return the 95 % bounds of one variant's value; None where the spread is not known."""
        if name not in self.values or not self.spread.freedom:
            return None
        spread = self.spread_of(name)
        error = spread.block / math.sqrt(len(self.cells[name]))
        centre = math.log(self.values[name] + self.axis.floor)
        low, high = statistics.t_bounds(centre, error, spread.freedom, 0.95)
        return math.exp(low) - self.axis.floor, math.exp(high) - self.axis.floor

    def ratio(self, one: str, other: str) -> Ratio | None:
        """Return the ratio of `other` to `one`; None where no block has both."""
        if one not in self.cells or other not in self.cells:
            return None
        near, compared = self.spread_of(one, other), len(self.values)
        found = nested_ratio(self.cells[one], self.cells[other], near, compared, self.spread)
        if found is None or not self.axis.grain:
            return found
        return replace(found, error=math.hypot(found.error, math.sqrt(2) * self.axis.grain))


def table_of(
    steps: Sequence[Step],
    axis: Axis,
    variants: Iterable[str],
    kinds: Mapping[str, str] | None = None,
) -> Table:
    """Return the values of one axis, of the variants that have any.

    Parameters
    ----------
    steps : turns of one scenario.
    axis : the figure.
    variants : labels, in the order of the run.
    kinds : by variant, see :func:`kinds_of`; None: all are of one.
    """
    found = {name: cells([s for s in steps if s.variant == name], axis) for name in variants}
    known = {name: each for name, each in found.items() if each}
    values = {
        name: statistics.geometric_mean(list(block_values(each).values())) - axis.floor
        for name, each in known.items()
    }
    return Table(axis, values, known, spread_of(list(known.values())), kinds or {})


def kinds_of(variants: Iterable[Variant]) -> dict[str, str]:
    """Return of which kind each variant is: whether it works over a broker."""
    return {each.label: "broker" if each.brokers else "" for each in variants}


def answer(table: Table, one: str, other: str, equal: float, half_width: float) -> Answer:
    """Say how a variant compares with another.

    Parameters
    ----------
    table : of the axis.
    one, other : labels; `other` is spoken of.
    equal : ratio - 1 within which two are the same.
    half_width : ratio - 1 that more blocks would aim at.
    """
    return answer_of(table.axis, one, other, table.ratio(one, other), equal, half_width)


def answer_of(
    axis: Axis, one: str, other: str, ratio: Ratio | None, equal: float, half_width: float
) -> Answer:
    """Say what a ratio of `other` to `one` says; parameters as :func:`answer`."""
    if ratio is None or not ratio.known:
        return Answer(axis, one, other, ratio, Said.UNKNOWN)
    if ratio.within <= equal:
        return Answer(axis, one, other, ratio, Said.SAME)
    if abs(ratio.centre) > ratio.half_width:
        more = (ratio.centre > 0) == axis.more_is_better
        return Answer(axis, one, other, ratio, Said.BETTER if more else Said.WORSE)
    wanting = blocks_wanting(ratio, equal, half_width)
    return Answer(axis, one, other, ratio, Said.UNKNOWN, wanting)


def blocks_wanting(ratio: Ratio, equal: float, half_width: float) -> int:
    """Return how many more blocks would probably tell, should the ratio stay what it seems.

    The interval narrows with the root of the number of blocks. It tells once it leaves out 1, once
    it lies within `equal`, or else once it is as narrow as is asked for.
    """
    far = abs(ratio.centre)
    room = math.log1p(equal) - far
    wanted = max(far, room if room > 0 else 0.0, math.log1p(half_width))
    return max(1, math.ceil(ratio.blocks * (ratio.half_width / wanted) ** 2) - ratio.blocks)


def settled(
    steps: Sequence[Step],
    variants: Sequence[str],
    equal: float,
    half_width: float,
    kinds: Mapping[str, str] | None = None,
    axes: Sequence[Axis] = DECIDING,
) -> bool:
    """Return whether more blocks of a scenario would add little to any of its answers.

    Parameters
    ----------
    steps : its turns.
    variants : labels of those that run.
    equal, half_width : ratios - 1, see :func:`answer`: each variant beside the best of each axis
        must be the same within the one, or its ratio known within the other.
    kinds : as :func:`table_of`.
    axes : that decide.
    """
    if len(variants) < 2:
        return False
    for axis in axes:
        table = table_of(steps, axis, variants, kinds)
        if len(table.values) < 2:
            return False
        for name in table.values.keys() - {table.best}:
            ratio = table.ratio(table.best, name)
            if ratio is None or not ratio.known:
                return False
            if ratio.half_width > math.log1p(half_width) and ratio.within > equal:
                return False
    return True
