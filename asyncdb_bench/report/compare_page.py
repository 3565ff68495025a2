"""A comparison -> one HTML page. Computes nothing; escapes everything."""

from __future__ import annotations

import re
from pathlib import Path

from asyncdb_bench.effects import TIE
from asyncdb_bench.report.drawing import svg_markup
from asyncdb_bench.report.forest import forest, rows_of
from asyncdb_bench.report.page import templates
from asyncdb_bench.sides import Duel
from asyncdb_bench.store import write_text


def percent(value: float | None) -> str:
    """Return a share as a percentage with as many digits as it deserves."""
    if value is None:
        return "–"
    text = f"{100 * value:.1f}".removesuffix(".0") if abs(value) < 0.1 else f"{100 * value:,.0f}"
    return f"{text} %"


def signed(value: float | None) -> str:
    """Return a change as a percentage with its sign."""
    return f"+{percent(value)}" if value is not None and value > 0 else percent(value)


def probability(value: float | None) -> str:
    """Return a p-value as people write it."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def write_page(duel: Duel, reports: Path) -> Path:
    """Write the page of a comparison and return where it is.

    Parameters
    ----------
    duel : what came of it.
    reports : the folder of reports.

    Raises
    ------
    StoreError : not writable.
    """
    name = re.sub(r"[^A-Za-z0-9._=-]+", "_", f"compare-{duel.base}-{duel.head}")[:150]
    path = reports / name / "index.html"
    write_text(path, render(duel))
    return path


def render(duel: Duel) -> str:
    """Return a comparison as one self-contained HTML page."""
    environment = templates()
    environment.filters |= {"percent": percent, "probability": probability, "svg": svg_markup}
    figures = {name: forest(rows_of(cells), name, 1 + TIE) for name, cells in duel.cells.items()}
    return environment.get_template("compare.html.j2").render(duel=duel, figures=figures)
