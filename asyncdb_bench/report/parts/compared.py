"""What a reader can compare anew: any two variants, any percentile."""

from __future__ import annotations

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.inference import METRICS
from asyncdb_bench.analysis.metric_table import Answer
from asyncdb_bench.records.plan import Settings, Target
from asyncdb_bench.report import quantities
from asyncdb_bench.report.document import (
    Column,
    Compared,
    Curve,
    Fold,
    Pair,
    Section,
    Table,
    Text,
    row_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.text import counted, number

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
    if not 1 < len(names) <= MOST:
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


def applications_section(found: Findings) -> Section:
    """Return what stands in the place of fairness: the applications are their owners' affair."""
    targets = [(each.label, each.target) for each in found.manifest.plan.variants if each.target]
    attached = _attached(found)
    fold = Fold(
        id="fairness",
        title="The applications",
        line=f"{counted(len(targets), 'application')} of your own;"
        f" {len(attached)} with asyncdb_bench.attach",
        blocks=(
            Text(
                text="Their databases, pools and budgets are their own affair, and were not"
                " counted. Loop lag is known where asyncdb_bench.attach is called, and phases are;"
                " CPU and memory where their processes are.",
                tone="soft",
            ),
            Table(
                id="fairness-table",
                columns=(
                    Column(title="variant", left=True),
                    Column(title="where", left=True),
                    Column(title="started by", left=True),
                    Column(title="revision", left=True),
                    Column(title="attached", left=True),
                    Column(title="memory at most", unit="MB"),
                ),
                rows=tuple(
                    row_of(
                        label,
                        target.url,
                        " ".join(target.command) or "nobody: it ran already",
                        revision_words(target),
                        "yes" if label in attached else "no",
                        number(_memory(found, label)),
                        variant=label,
                    )
                    for label, target in targets
                ),
            ),
        ),
        opened=False,
    )
    return Section(id="fairness-section", title="", blocks=(fold,), nav="The applications")


def revision_words(target: Target) -> str:
    """Say what git says of where a target was started; a dash where it says nothing."""
    revision = str(target.git.get("revision", ""))[:12]
    dirty = " with changes" if target.git.get("dirty") else ""
    return f"{revision}{dirty}" if revision else "–"


def _attached(found: Findings) -> set[str]:
    return {step.variant for step in found.offered if step.loop_lag.n}


def _memory(found: Findings, label: str) -> float | None:
    used = [
        step.usage["app"].rss_mb
        for step in found.offered
        if step.variant == label and "app" in step.usage and step.usage["app"].rss_mb
    ]
    return max(used, default=None)
