"""Several runs beside one another -> one figure for each scenario, one HTML page."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from asyncdb_bench.beside import FIGURES, Beside, Told, beside, warnings
from asyncdb_bench.report.axes import Looks, hatched, legend, plain
from asyncdb_bench.report.drawing import INK, STYLE, Drawing, drawing, svg_markup
from asyncdb_bench.report.page import script, templates
from asyncdb_bench.store import write_text
from asyncdb_bench.verdict import rate


def write_beside(runs: Sequence[Told], reports: Path) -> Path:
    """Write the page and return where it is: a folder named after the runs.

    Parameters
    ----------
    runs : two or more.
    reports : the folder of reports.

    Raises
    ------
    StoreError : not writable.
    """
    tables = beside(runs)
    environment = templates()
    environment.filters["svg"] = svg_markup
    names = [run.manifest.run_id for run in runs]
    page = environment.get_template("beside.html.j2").render(
        runs=runs,
        names=names,
        tables=[(each, draw(each, names, place)) for place, each in enumerate(tables)],
        warnings=warnings(runs),
        figures=FIGURES,
        rate=rate,
        script=script(),
    )
    key = hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]
    path = reports / f"beside-{names[0]}-{key}" / "index.html"
    write_text(path, page)
    return path


def draw(table: Beside, names: Sequence[str], place: int) -> Drawing | None:
    """Draw the capacities of one scenario: a row per variant, a marker per run.

    Parameters
    ----------
    table : the scenario.
    names : of the runs.
    place : on the page, to tell its ids from others'.
    """
    variants = list(table.rows)[::-1]
    if not variants:
        return None
    looks = Looks(names)
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 1.2 + 0.5 * len(variants)), layout="constrained")
        axes = figure.add_subplot()
        for number, name in enumerate(names):
            look = looks.of(name) | {"linestyle": "none", "markersize": 7}
            sound: list[tuple[float, float]] = []
            bad: list[tuple[float, float]] = []
            for row, variant in enumerate(variants):
                seen = table.rows[variant][number]
                if seen is None:
                    continue
                at = row + 0.5 * (0.5 - (number + 0.5) / len(names))
                high = seen.capacity.high if seen.capacity.high is not None else seen.capacity.rps
                axes.plot([seen.capacity.low, high], [at, at], color=INK, alpha=0.4, linewidth=3)
                (bad if seen.doubts else sound).append((seen.capacity.rps, at))
            axes.plot(
                [x for x, _ in sound],
                [y for _, y in sound],
                label=plain(name),
                **look,
            )
            hatched(axes, [x for x, _ in bad], [y for _, y in bad], look, f"run{number}")
        axes.set_yticks(range(len(variants)), [plain(name) for name in variants])
        axes.set_xlim(left=0)
        axes.set_xlabel("capacity, requests/s, with its bounds")
        legend(axes)
        words = f"{table.scenario}: capacity of each variant in {len(names)} runs"
        return drawing(figure, f"beside-{place}", words)
