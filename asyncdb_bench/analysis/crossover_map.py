"""Comparisons of cells -> the map over query time and rows, and who leads where. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from asyncdb_bench.analysis.capacity import Capacity
from asyncdb_bench.analysis.comparison import Comparison, command_of
from asyncdb_bench.analysis.ranking import leaders
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.sentences import sentence
from asyncdb_bench.text import counted, listed


@dataclass(frozen=True, slots=True)
class MapCell:
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
class CrossoverMap:
    """The cells, and what follows from them in sentences."""

    cells: tuple[MapCell, ...]
    sentences: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether any cell can be relied on."""
        return any(cell.sound for cell in self.cells)


def make_map(
    scenarios: Sequence[PlannedScenario],
    comparisons: Sequence[Comparison],
    steps: pd.DataFrame,
    variants: Sequence[Variant],
) -> CrossoverMap | None:
    """Return the map; None where no scenario is a cell of one.

    Parameters
    ----------
    scenarios, comparisons : of the run, in the same order.
    steps : rows of :func:`steps_table`.
    variants : of the run.
    """
    cells = tuple(
        _cell(each, comparison, steps[steps.scenario == each.label])
        for each, comparison in zip(scenarios, comparisons, strict=True)
        if each.cell and comparison.capacities
    )
    return CrossoverMap(cells, tuple(map_sentences(cells, variants))) if cells else None


def _cell(scenario: PlannedScenario, comparison: Comparison, steps: pd.DataFrame) -> MapCell:
    ms, rows = scenario.cell or (0.0, 0)
    best = leaders(comparison.standings)
    shaky = [name for name in best if name in comparison.invalid]
    return MapCell(
        ms=ms,
        rows=rows,
        best=best,
        capacities=comparison.capacities,
        loop_lag_ms={
            name: lag_at(steps[steps.variant == name], each.rps)
            for name, each in comparison.capacities.items()
        },
        sound=bool(best) and not shaky,
        why_not=sentence(comparison.invalid[shaky[0]][0]) if shaky else "",
    )


def lag_at(steps: pd.DataFrame, rps: float) -> float:
    """Return one variant's median loop lag p99 at the highest load not above a rate."""
    at_most = steps[steps.offered_rps <= rps * 1.001]
    if not len(at_most):
        return math.nan
    top = at_most[at_most.offered_rps == at_most.offered_rps.max()]
    return float(top.loop_lag_p99_ms.median())


def map_sentences(cells: Sequence[MapCell], variants: Sequence[Variant]) -> list[str]:
    """Return who leads up to which query time, for the fewest rows, and in how many cells.

    Parameters
    ----------
    cells : of the map.
    variants : of the run, in the order in which they are named.
    """
    sound = [cell for cell in cells if cell.sound]
    fewest = min((cell.rows for cell in sound), default=1)
    line = sorted((c for c in sound if c.rows == fewest), key=lambda cell: cell.ms)
    order = [each.label for each in variants]
    stretches = [
        (names, list(own))
        for names, own in itertools.groupby(line, lambda c: sorted(c.best, key=order.index))
    ]
    parts = [
        f"{listed(names)} {'lead' if len(names) > 1 else 'leads'} {_span(own)}"
        for names, own in stretches
    ]
    at = f"At {counted(fewest, 'row')}"
    found = [f"{at}: {'; '.join(parts)}"] if parts else []
    found += [f"{at}: {each}" for each in crossings(line, order)]
    leads = {name: sum(name in cell.best for cell in sound) for name in order}
    ranked = sorted((name for name in order if leads[name]), key=lambda name: -leads[name])
    if ranked:
        shares = ", ".join(f"{name} in {leads[name]}" for name in ranked)
        found.append(f"Best or not told apart from the best, of {len(sound)} sound cells: {shares}")
    return found


def crossings(line: Sequence[MapCell], order: Sequence[str]) -> list[str]:
    """Return where one variant overtakes another, for each pair that changes places once.

    A pair changes places where one is at the top and the other is not, and the reverse in the next
    cell that tells them apart. The crossing is where the straight line through the logarithms of
    the two ratios of capacities passes 1.

    Parameters
    ----------
    line : sound cells of equal rows, by query time.
    order : labels of the variants.
    """
    found = []
    for first, second in itertools.permutations(order, 2):
        apart = [cell for cell in line if (first in cell.best) != (second in cell.best)]
        ahead = [first in cell.best for cell in apart]
        if not (ahead and ahead == sorted(ahead, reverse=True) and ahead[0] and not ahead[-1]):
            continue
        place = ahead.index(False)
        low, high = apart[place - 1], apart[place]
        before, after = (_log_ratio(cell, first, second) for cell in (low, high))
        if before is None or after is None or before <= 0 or after >= 0:
            continue
        at_ms = low.ms + before / (before - after) * (high.ms - low.ms)
        found.append(
            f"below about {at_ms:.2g} ms (between {low.ms:g} and {high.ms:g}) {first} carries more"
            f" than {second}, above it less"
        )
    return found


def _log_ratio(cell: MapCell, first: str, second: str) -> float | None:
    rates = [cell.capacities[name].rps for name in (first, second) if name in cell.capacities]
    return math.log(rates[0] / rates[1]) if len(rates) == 2 and min(rates) > 0 else None


def _span(cells: Sequence[MapCell]) -> str:
    first, last = cells[0].ms, cells[-1].ms
    return f"at {first:g} ms" if first == last else f"from {first:g} to {last:g} ms"


def map_markdown(found: CrossoverMap, manifest: Manifest) -> str:
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
        *[f"- {each}." for each in found.sentences],
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


def _markdown_cell(cell: MapCell | None) -> str:
    if cell is None:
        return "not reached"
    if not cell.sound:
        return "not sound" if cell.best else "none"
    top = max(cell.best, key=lambda name: cell.capacities[name].rps)
    carried = cell.capacities[top]
    at_least = "≥ " if carried.open_ended else ""
    lag = cell.loop_lag_ms.get(top, math.nan)
    return f"{' = '.join(cell.best)}: {at_least}{carried.rps:,.0f}/s, lag {lag:.2g} ms"
