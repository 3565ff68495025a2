"""The map in words: cells, the model, and a page in Markdown. Pure."""

from __future__ import annotations

import math

from asyncdb_bench.analysis.pace_map import TITLES, Cell, PaceMap, borders
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.text import counted, number
from asyncdb_bench.text import ratio as as_ratio


def how_sure(cell: Cell) -> str:
    """Say how sure a cell's ratios are: the widest interval of those beside the base."""
    widths = [
        each.ratio.half_width
        for each in cell.beside_base.values()
        if each.ratio is not None and each.ratio.known
    ]
    if not widths:
        return "not known"
    return f"± {math.expm1(max(widths)):.0%}"


def best_words(cell: Cell, most: int = 3) -> str:
    """Return the leaders of a cell: the best, and those not distinguished from it."""
    return " = ".join(cell.best[:most]) + (" = …" if len(cell.best) > most else "")


def map_page(found: PaceMap, manifest: Manifest, command: str) -> str:
    """Return the map as a page in Markdown.

    Parameters
    ----------
    found : the map.
    manifest, command : for where the figures come from.
    """
    lines = [
        "# The map",
        "",
        "Which strategy has the highest pace for which request? Each cell names it with those that"
        " this run does not distinguish from it, its pace, and the ratios of the others. Pace:"
        f" requests per second of {manifest.plan.settings.connections} connections that ask again"
        f" at once, with {manifest.plan.settings.budget} connections to the database for each"
        " strategy, on one core.",
    ]
    crossings = [f"- {each[:1].upper()}{each[1:]}." for each in borders(found.cells)]
    lines += ["", *crossings] if crossings else []
    panel, column, row = found.shown
    for at_panel in found.values(panel):
        columns, rows = found.values(column), found.values(row)
        head = " | ".join(_value(column, each) for each in columns)
        title = f"{TITLES[panel][:1].upper()}{TITLES[panel][1:]}: {_value(panel, at_panel)}"
        lines += ["", f"## {title}", "", f"| {TITLES[row]} | {head} |"]
        lines.append("|---:|" + "---|" * len(columns))
        for at_row in rows:
            cells = [
                _markdown_cell(found.at({panel: at_panel, column: at_column, row: at_row}))
                for at_column in columns
            ]
            lines.append(f"| {at_row:g} | {' | '.join(cells)} |")
    lines += _model_lines(found)
    machine, settings = manifest.machine, manifest.plan.settings
    lines += [
        "",
        f"Measured by `{command}` (seed {manifest.seed}) on {machine['cpu']}, {machine['cores']}"
        f" cores, {manifest.started_at}; {counted(settings.blocks, 'launch', 'launches')}, turns of"
        f" {settings.turn_s:g} s and more.",
    ]
    return "\n".join(lines) + "\n"


def told(answer: tuple[float, float] | None) -> str:
    """Return what the model says of a pace, with the error to expect."""
    return "not known" if answer is None else f"{number(answer[0])}/s ± {answer[1]:.0%}"


def _value(axis: str, value: float) -> str:
    if axis == "rtt_ms":
        return f"{value:g} ms away" if value else "loopback"
    return f"{value:g} ms" if axis == "ms" else f"{value:g}"


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return "not reached"
    pace = cell.paces[cell.leader]
    others = ", ".join(
        f"{name} {as_ratio(value / pace)}"
        for name, value in cell.paces.items()
        if name not in cell.best
    )
    return f"**{best_words(cell)}** {number(pace)}/s; {others or 'no other'} ({how_sure(cell)})"


def _model_lines(found: PaceMap) -> list[str]:
    model = found.model
    if model is None:
        return []
    lines = [
        "",
        "## The model",
        "",
        "CPU time of a request and of each query, round trips, the queries' own time, and the"
        " number of concurrent requests, fitted to the cells; each cell is predicted by a fit"
        " without it."
        " The model answers between cells that were predicted within 15 %.",
        "",
        "| strategy | concurrent | CPU, ms | CPU of a query, ms | more round trips | more time of a"
        " query, ms | error: median, worst | cells within 15 % |",
        "|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    lines += [
        f"| {name} | {way.at_once} | {way.cpu_ms:.2f} | {way.cpu_each_ms:.2f} | {way.trips:.1f} |"
        f" {way.each_ms:.2f} | {model.typical(name):.0%}, {model.worst(name):.0%} |"
        f" {model.within(name):.0%} |"
        for name, way in model.ways.items()
    ]
    return lines
