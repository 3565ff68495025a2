"""Comparisons of the cells of a sweep -> the map, and where one way overtakes another. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from asyncdb_bench.analysis import Comparison, command_of
from asyncdb_bench.capacities import Capacity
from asyncdb_bench.model import Asked, Manifest, Variant
from asyncdb_bench.ranking import leaders

SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the map.

    Parameters
    ----------
    ms : time of the query in the database.
    rows : that it returns.
    best : the variants at the top that this run cannot tell apart; empty: nothing was carried.
    capacities : by variant, best first.
    loop_lag_ms : by variant, its loop lag p99 at its capacity, milliseconds; NaN: not known.
    sound : whether what it says rests on valid steps.
    why_not : the first reason where it is not sound.
    """

    ms: float
    rows: int
    best: tuple[str, ...]
    capacities: Mapping[str, Capacity]
    loop_lag_ms: Mapping[str, float]
    sound: bool
    why_not: str = ""

    @property
    def tie(self) -> bool:
        """Whether several cannot be told apart."""
        return len(self.best) > 1


@dataclass(frozen=True, slots=True)
class Map:
    """The cells, and what follows from them in sentences."""

    cells: tuple[Cell, ...]
    sentences: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether any cell can be relied on."""
        return any(cell.sound for cell in self.cells)


def is_cell(asked: Asked) -> bool:
    """Return whether a scenario is a cell of the map."""
    return asked.scenario == SWEEP


def make_map(
    asked: Sequence[Asked],
    comparisons: Sequence[Comparison],
    steps: pd.DataFrame,
    variants: Sequence[Variant],
) -> Map | None:
    """Return the map; None where no cell was asked for.

    Parameters
    ----------
    asked, comparisons : of the run, in the same order.
    steps : rows of :func:`asyncdb_bench.tables.steps_table`.
    variants : of the run.
    """
    cells = tuple(
        _cell(each, comparison, steps[steps.scenario == each.label])
        for each, comparison in zip(asked, comparisons, strict=True)
        if is_cell(each) and comparison.capacities
    )
    return Map(cells, tuple(sentences(cells, variants))) if cells else None


def _cell(asked: Asked, comparison: Comparison, steps: pd.DataFrame) -> Cell:
    best = leaders(comparison.standings)
    shaky = [name for name in best if name in comparison.invalid]
    return Cell(
        ms=float(asked.knobs["ms"]),
        rows=int(asked.knobs["fetch"]),
        best=best,
        capacities=comparison.capacities,
        loop_lag_ms={
            name: lag_at(steps[steps.variant == name], each.rps)
            for name, each in comparison.capacities.items()
        },
        sound=bool(best) and not shaky,
        why_not=comparison.invalid[shaky[0]][0] if shaky else "",
    )


def lag_at(steps: pd.DataFrame, rps: float) -> float:
    """Return one variant's median loop lag p99 at the highest load not above a rate."""
    at_most = steps[steps.offered_rps <= rps * 1.001]
    if not len(at_most):
        return math.nan
    top = at_most[at_most.offered_rps == at_most.offered_rps.max()]
    return float(top.loop_lag_p99_ms.median())


def sentences(cells: Sequence[Cell], variants: Sequence[Variant]) -> list[str]:
    """Return where one way overtakes another, for the fewest rows."""
    by_strategy: dict[str, Variant] = {}
    for variant in variants:
        by_strategy.setdefault(variant.strategy, variant)
    fewest = min((cell.rows for cell in cells), default=1)
    line = sorted((c for c in cells if c.rows == fewest and c.sound), key=lambda cell: cell.ms)
    size = f"at {fewest} row{'' if fewest == 1 else 's'}"
    found = []
    blocking, executor, native = (
        by_strategy.get(name) for name in ("blocking", "executor", "native")
    )
    if blocking and executor:
        threads = executor.limits.get("threads", 0)
        other = f"an executor of {threads} threads"
        found.append(
            f"{size}: {overtaken(line, blocking.label, executor.label, 'blocking', other)}"
        )
    if executor and native and line:
        found.append(f"{size}: {equal_until(line, executor, native)}")
    return [each[0].upper() + each[1:] for each in found]


def overtaken(line: Sequence[Cell], first: str, second: str, name: str, other: str) -> str:
    """Say below which query time one variant beats another.

    Between two cells the crossing is where the straight line through the logarithms of the two
    ratios of capacities passes 1.
    """
    ratios = [
        (cell.ms, cell.capacities[first].rps / cell.capacities[second].rps)
        for cell in line
        if first in cell.capacities
        and second in cell.capacities
        and cell.capacities[second].rps > 0
        and cell.capacities[first].rps > 0
    ]
    if not ratios:
        return f"{name} and {other} were not both measured soundly"
    if all(ratio <= 1 for _, ratio in ratios):
        return f"{name} carries no more than {other} at any query time measured"
    if all(ratio > 1 for _, ratio in ratios):
        return f"{name} carries more than {other} at every query time measured"
    for (low, before), (high, after) in itertools.pairwise(ratios):
        if before > 1 >= after:
            share = math.log(before) / (math.log(before) - math.log(after))
            at = low + share * (high - low)
            return (
                f"below about {at:.2g} ms (between {low:g} and {high:g}) {name} carries more than"
                f" {other} on this machine"
            )
    return f"{name} and {other} change places more than once: this run cannot tell"


def equal_until(line: Sequence[Cell], executor: Variant, native: Variant) -> str:
    """Say up to which rate an executor carries as much as native with as many connections."""
    threads = executor.limits.get("threads", 0)
    what = f"an executor of {threads} threads equals native with a pool of {native.budget}"
    until = None
    # from slow queries, where both wait for the database, to fast ones
    for cell in sorted(line, key=lambda cell: -cell.ms):
        if executor.label not in cell.best or native.label not in cell.best:
            break
        until = cell
    if until is None:
        return f"{what} at no query time measured"
    return (
        f"{what} until about {until.capacities[executor.label].rps:,.0f} requests/s (queries of"
        f" {until.ms:g} ms)"
    )


def markdown(found: Map, manifest: Manifest) -> str:
    """Return the map as a page in Markdown.

    Parameters
    ----------
    found : the map.
    manifest : for where the figures come from.
    """
    times = sorted({cell.ms for cell in found.cells})
    by_place = {(cell.rows, cell.ms): cell for cell in found.cells}
    blocks = manifest.plan.settings.blocks
    lines = [
        "# The map: which way for which query",
        "",
        *[f"- {sentence}." for sentence in found.sentences],
        "",
        "For each query time and number of rows the variants with the highest capacity that this",
        "run cannot tell apart, what the best carries, and its loop lag p99 there.",
        "",
        "| rows | " + " | ".join(f"{ms:g} ms" for ms in times) + " |",
        "|---|" + "---|" * len(times),
    ]
    for rows in sorted({cell.rows for cell in found.cells}):
        cells = [_markdown_cell(by_place.get((rows, ms))) for ms in times]
        lines.append(f"| {rows:,} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Measured by `{command_of(manifest)}` (seed"
        f" {manifest.seed}) on {manifest.machine['cpu']}, {manifest.machine['cores']} cores,"
        f" {manifest.started_at}; {blocks} block{'' if blocks == 1 else 's'}, budget"
        f" {manifest.plan.settings.budget} connections.",
    ]
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return "not reached"
    if not cell.sound:
        return "not sound" if cell.best else "none"
    top = max(cell.best, key=lambda name: cell.capacities[name].rps)
    carried = cell.capacities[top]
    at_least = "≥ " if carried.open_ended else ""
    lag = cell.loop_lag_ms.get(top, math.nan)
    return f"{' = '.join(cell.best)}: {at_least}{carried.rps:,.0f}/s, lag {lag:.2g} ms"
