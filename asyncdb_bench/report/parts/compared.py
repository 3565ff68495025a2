"""What a reader can compare anew: any two variants, any percentile."""

from __future__ import annotations

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.inference import GOODPUT, METRICS
from asyncdb_bench.analysis.metric_table import Answer
from asyncdb_bench.records.plan import Settings
from asyncdb_bench.report import quantities
from asyncdb_bench.report.document import Compared, Curve, Pair
from asyncdb_bench.report.findings import Findings

MOST = 12
"""Variants of which all pairs are told; of more their number would make the page heavy."""
LEVELS = ("p50", "p95", "p99")


def compared_scenarios(found: Findings) -> tuple[Compared, ...]:
    """Return what can be compared anew, by scenario, in the order of the page."""
    settings = found.manifest.plan.settings
    return tuple(
        _compared(each, found.asked[each.scenario].objective.p99_ms, settings)
        for each, _ in found.shown
    )


def _compared(comparison: Comparison, objective_ms: float, settings: Settings) -> Compared:
    return Compared(
        scenario=comparison.scenario,
        base=comparison.findings.leader,
        pairs=_pairs(comparison, settings),
        curves=tuple(_curve(comparison, name) for name in list(comparison.capacities)[:MOST]),
        levels={level: _level(comparison, level) for level in LEVELS},
        objective_ms=objective_ms,
    )


def _level(comparison: Comparison, level: str) -> dict[str, tuple[str, str]]:
    """Return the cells of the scenario's table for another percentile, by variant."""
    cells = {
        name: quantities.of_row(comparison, name, f"{level}_ms")
        for name in list(comparison.capacities)[:MOST]
    }
    return {name: (cell.text, cell.note) for name, cell in cells.items()}


def _pairs(comparison: Comparison, settings: Settings) -> dict[str, tuple[Pair, ...]]:
    findings = comparison.findings
    names = list(findings.table.values)
    if not 1 < len(names) <= MOST or findings.main is GOODPUT:
        return {}
    found = {}
    for metric in METRICS:
        answers = [
            findings.compare(metric, base, other, settings)
            for base in names
            for other in names
            if base != other
        ]
        known = [each for each in answers if each.ratio is not None]
        if known:
            found[metric.name] = tuple(map(_pair, known))
    return found


def _pair(each: Answer) -> Pair:
    assert each.ratio is not None
    bounds = each.ratio.bounds
    return Pair(
        base=each.one,
        other=each.other,
        ratio=_short(each.ratio.ratio),
        low=_short(bounds[0]) if bounds else None,
        high=_short(bounds[1]) if bounds else None,
        said=str(each.said),
    )


def _short(value: float) -> float:
    """Return a value with as many digits as a page can use."""
    return float(f"{value:.4g}")


def _curve(comparison: Comparison, name: str) -> Curve:
    table = comparison.by_load
    rows = table[(table.variant == name) & table.valid].sort_values("offered_rps")

    def values(level: str) -> tuple[tuple[float | None, float | None, float | None], ...]:
        columns = (f"{level}_ms", f"{level}_ms_low", f"{level}_ms_high")
        cells = [[_known(row.get(column)) for column in columns] for _, row in rows.iterrows()]
        return tuple((value, low, high) for value, low, high in cells)

    return Curve(
        variant=name,
        loads=tuple(float(load) for load in rows.offered_rps),
        percentiles={level: values(level) for level in LEVELS},
    )


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else _short(value)  # noqa: PLR0124 - NaN
