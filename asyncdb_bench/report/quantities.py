"""Figures of the page as text: one place, so that one figure has one text wherever it stands. Pure.

Each is rounded to what its interval warrants, see :func:`asyncdb_bench.text.warranted`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.findings import Carried
from asyncdb_bench.analysis.inference import CAPACITY, CPU, Said
from asyncdb_bench.analysis.metric_table import Answer
from asyncdb_bench.analysis.verdict import percent, rate, ratio_words
from asyncdb_bench.report.document import Cell
from asyncdb_bench.text import number, warranted


def ratio_text(each: Answer) -> str:
    """Return a ratio with its interval."""
    assert each.ratio is not None
    return ratio_words(each.ratio)


def said_text(each: Answer) -> str:
    """Return an answer in a word or two."""
    if each.said is Said.SAME and each.ratio is not None:
        return f"the same within {percent(each.ratio.within)}"
    return str(each.said)


def ratio_cell(each: Answer | None, missing: str = "–") -> Cell:
    """Return a ratio and what is said of it; `missing` where there is none."""
    if each is None or each.ratio is None:
        return Cell(missing)
    return Cell(ratio_text(each), said_text(each))


def beside_text(each: Answer | None) -> str:
    """Return a figure beside the best: the ratio, and what is said of it."""
    if each is None or each.ratio is None:
        return "not compared"
    return f"{ratio_text(each)}, {said_text(each)}"


NONE = Cell("–")
TOO_WIDE = 10.0
"""Times the value, an upper bound from which on an interval says nothing but that it is unknown."""


def with_bounds(value: Any, low: Any, high: Any) -> tuple[str, str]:
    """Return a figure as its interval warrants, and the interval; both as text."""
    if value is None or pd.isna(value):
        return "–", ""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return number(float(value)), ""
    if float(high) > TOO_WIDE * max(float(value), float(low)):
        return number(float(value), 2), "no interval yet"
    shown = warranted(float(value), float(low), float(high))
    return shown, f"{like(shown, float(low))} to {like(shown, float(high))}"


def like(shown: str, bound: float) -> str:
    """Return a bound with as many decimals as the figure that it is of, and one at least of 1."""
    decimals = len(shown.partition(".")[2])
    text = f"{bound:,.{decimals}f}"
    return text if float(text.replace(",", "")) or not bound else number(bound, 1)


def of_row(comparison: Comparison, name: str, figure: str) -> Cell:
    """Return a variant's figure at the common load, with its interval."""
    if name not in comparison.rows.index:
        return NONE
    row = comparison.rows.loc[name]
    text, bounds = with_bounds(row.get(figure), row.get(f"{figure}_low"), row.get(f"{figure}_high"))
    if figure == "error_rate" and text != "–":
        text = share(row[figure])
    return Cell(text=text, note=bounds, key=key_of(comparison, name, figure))


def of_table(comparison: Comparison, name: str, metric: str) -> Cell:
    """Return a variant's figure by a metric, with its interval."""
    table = comparison.findings.tables[metric]
    if name not in table.values:
        return NONE
    low, high = table.bounds(name) or (None, None)
    text, bounds = with_bounds(table.values[name], low, high)
    return Cell(text=text, note=bounds, key=key_of(comparison, name, metric))


def pace(comparison: Comparison, name: str) -> Cell:
    """Return a variant's figure by the metric that ranks: its pace, or its capacity."""
    main = comparison.findings.main
    return capacity(comparison, name) if main is CAPACITY else of_table(comparison, name, main.name)


def cpu(comparison: Comparison, name: str) -> Cell:
    """Return the CPU time of a request: at full speed, or at the common load of a ladder."""
    return of_table(comparison, name, CPU.name)


def capacity(comparison: Comparison, name: str) -> Cell:
    """Return a variant's capacity with its interval."""
    carried = comparison.findings.capacities.get(name)
    if carried is None:
        return NONE
    return Cell(
        text=rate(carried), note=_bounds(carried), key=key_of(comparison, name, "capacity_rps")
    )


def _bounds(carried: Carried) -> str:
    if not carried.rps or carried.open_ended:
        return ""
    return f"{number(carried.low)} to {number(carried.high)}"


def key_of(comparison: Comparison, name: str, figure: str) -> str:
    """Return what a figure is of."""
    return f"{comparison.scenario}|{name}|{figure}"


def share(value: Any) -> str:
    """Return a share as a percentage."""
    if value is None or pd.isna(value):
        return "–"
    return "0" if value == 0 else f"{value:.2%}"
