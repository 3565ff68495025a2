"""The history as a document for terminal and page, a badge, JSON, and a week in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib import figure as pictures
from matplotlib import rc_context
from msgspec.structs import replace

from asyncdb_bench.extensions.history.change_points import (
    MORE_IS_BETTER,
    FigureSeries,
    Status,
    Suspect,
    overall,
    status_of,
    suspects,
    why,
)
from asyncdb_bench.extensions.history.history_file import HistoryRun
from asyncdb_bench.records.files import write_text
from asyncdb_bench.report.axes import COLOURS, STYLE, Drawing, drawing
from asyncdb_bench.report.document import (
    Block,
    Cell,
    Document,
    Figure,
    Fold,
    Row,
    Section,
    Table,
    Text,
    Tone,
    row_of,
    table_of,
)
from asyncdb_bench.report.renderers import render_html, render_markdown
from asyncdb_bench.text import counted, number, percent, probability, signed, xml_text

WEEK = timedelta(days=7)
TREND_SCHEMA = 1
TONES: dict[Status, Tone] = {Status.WORSE: "bad", Status.BETTER: "good", Status.MACHINE: "soft"}
BADGE = {
    Status.WORSE: "#a40e26",
    Status.BETTER: "#116329",
    Status.MACHINE: "#7d4e00",
    Status.STEADY: "#116329",
}
UNITS = {
    "capacity_rps": "1/s",
    "pace_rps": "1/s",
    "canary_cpu_ms": "ms",
    "canary_loopback_us": "µs",
}
NOTE = (
    "Change points by Apache Otava (E-divisive on sliding windows, Student's t with p < 0.001);"
    " changes below 5 %, or below what the runs' own A/A shows to be noise, are not reported. The"
    " canary is a fixed workload that touches none of our code: where it changes too, it was the"
    " machine."
)


def history_document(
    runs: Sequence[HistoryRun], series: Sequence[FigureSeries], warnings: Sequence[str]
) -> Document:
    """Return the document of the history: what changed, the worse first.

    Parameters
    ----------
    runs, series, warnings : of the history.
    """
    machines = counted(len({run.machine for run in runs}), "machine")
    status, count = overall(series)
    found = suspects(series)
    changes: tuple[Block, ...] = (Text("No series changed by more than its noise."),)
    if found:
        changes = (_changes_table(found), Text(NOTE, tone="soft"))
    return Document(
        title=f"Performance: {status}",
        lead=f"{f'{count} recent' if count else 'no recent change'} · {counted(len(runs), 'run')},"
        f" {runs[0].started_at[:10]} to {runs[-1].started_at[:10]}, {machines},"
        f" {counted(len(series), 'series', 'series')}. Series of different machines are never"
        " mixed.",
        sections=(Section(id="changes", title="What changed", blocks=changes),),
        alerts=tuple(warnings),
    )


def _changes_table(found: Sequence[Suspect]) -> Table:
    head = "became | <series | change | <suspect revisions | <what it may be"
    return table_of("changes-table", head, map(_change_row, found))


def _change_row(each: Suspect) -> Row:
    change, tone = each.change, TONES[each.status]
    when = f"{change.before.started_at[:10]} to {change.after.started_at[:10]}"
    return row_of(
        Cell(str(each.status), "recent" if each.recent else "", tone),
        each.series.title,
        Cell(signed(change.ratio - 1), f"p {probability(change.p)}"),
        Cell(each.revisions, when),
        why(each.series, change),
        tone=tone,
    )


def write_history(
    runs: Sequence[HistoryRun],
    series: Sequence[FigureSeries],
    warnings: Sequence[str],
    reports: Path,
) -> Path:
    """Write the page of the history and return where it is.

    Beside it lie ``badge.svg`` for a README, ``trend.json`` for other programs and ``weekly.md``.

    Raises
    ------
    StoreError : not writable.
    """
    path = reports / "history" / "index.html"
    drawings = {str(place): _drawn(each, place) for place, each in enumerate(series)}
    document = history_document(runs, series, warnings)
    section = series_section(series, list(drawings.values()))
    page = replace(document, sections=(*document.sections, section))
    write_text(path, render_html(page, {"series": drawings}))
    write_text(path.with_name("badge.svg"), badge(series))
    rows = json.dumps(trend_rows(runs, series), indent=1)
    write_text(path.with_name("trend.json"), f"{rows}\n")
    write_text(path.with_name("weekly.md"), weekly(runs, series))
    return path


def series_section(series: Sequence[FigureSeries], drawings: Sequence[Drawing]) -> Section:
    """Return the figures of all series: those that changed first, the others in a fold.

    Parameters
    ----------
    series : of the history.
    drawings : of them, in their order.
    """
    figures = {
        id(each): _figure(each, made, place)
        for place, (each, made) in enumerate(zip(series, drawings, strict=True))
    }
    changed = dict.fromkeys(id(each.series) for each in suspects(series))
    blocks: list[Block] = [figures[each] for each in changed]
    if still := tuple(figures[id(each)] for each in series if not each.changes):
        title = f"{counted(len(still), 'series', 'series')} without a change"
        blocks.append(Fold(id="steady", title=title, line="", blocks=still, opened=not changed))
    return Section(id="series", title="Series", blocks=tuple(blocks))


def _figure(each: FigureSeries, made: Drawing, place: int) -> Figure:
    loads = sorted({load for load in each.loads if load})
    at = f" Taken at {', '.join(number(load) for load in loads)}/s." if loads else ""
    return Figure(
        id=f"series-{place}",
        scenario="series",
        name=str(place),
        caption=f"{each.title}: {counted(len(each.values), 'run')} on {each.machine}; a change is"
        f" reported from {percent(each.magnitude)}.{at}",
        alt=made.alt,
    )


def _drawn(series: FigureSeries, place: int) -> Drawing:
    """Draw a series with the mean of each stretch between its change points."""
    unit, values = UNITS.get(series.figure.split(" ")[0], "ms"), series.values
    changes = f"{counted(len(series.changes), 'change point')}" if series.changes else "no change"
    with rc_context(STYLE):
        figure = pictures.Figure(figsize=(8.2, 2.0), layout="constrained")
        axes = figure.subplots()
        axes.plot(values, color=COLOURS[0], linewidth=1, marker=".", markersize=3)
        for start, end in pairwise([0, *(each.at for each in series.changes), len(values)]):
            mean = sum(values[start:end]) / max(end - start, 1)
            axes.plot((start, end - 1), (mean, mean), color="#444444", linewidth=1)
        for each in series.changes:
            axes.axvline(
                each.at - 0.5,
                color="#7F7F7F" if each.machine else COLOURS[1],
                linestyle=":" if each.machine else "--",
            )
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit)
        axes.set_xlabel("run")
        words = f"{series.title} over {len(values)} runs, {unit}; {changes}"
        return drawing(figure, f"series-{place}", words)


def badge(series: Sequence[FigureSeries]) -> str:
    """Return the status as a small SVG, to put into a README."""
    status, count = overall(series)
    said = xml_text(f"{count} {status}" if count else str(status))
    left, right = 82, 14 + 7 * len(said)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="performance: {said}"><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{BADGE[status]}"/>'
        '<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">performance</text>'
        f'<text x="{left + right / 2:g}" y="14">{said}</text></g></svg>\n'
    )


def trend_rows(runs: Sequence[HistoryRun], series: Sequence[FigureSeries]) -> dict[str, Any]:
    """Return the history as data for other programs; the content of ``trend.json``."""
    status, count = overall(series)
    return {
        "schema_version": TREND_SCHEMA,
        "runs": len(runs),
        "first": runs[0].started_at,
        "last": runs[-1].started_at,
        "status": str(status),
        "recent_changes": count,
        "series": [_series_row(each) for each in series],
    }


def _series_row(series: FigureSeries) -> dict[str, Any]:
    return {
        "machine": series.machine,
        "scenario": series.scenario,
        "variant": series.variant,
        "figure": series.figure,
        "least_change": series.magnitude,
        "points": [
            {"run": run.run_id, "at": run.started_at, "revision": run.revision, "value": value}
            for run, value in zip(series.runs, series.values, strict=True)
        ],
        "changes": [
            {
                "ratio": change.ratio,
                "p": change.p,
                "status": str(status_of(series, change)),
                "before": change.before.revision,
                "after": change.after.revision,
                "run": change.after.run_id,
            }
            for change in series.changes
        ],
    }


def weekly(runs: Sequence[HistoryRun], series: Sequence[FigureSeries]) -> str:
    """Return the last seven days as Markdown, for a chat or a pull request.

    Parameters
    ----------
    runs, series : of the history; the days end with its last run.
    """
    last = datetime.fromisoformat(runs[-1].started_at)
    own = {run.place for run in runs if last - datetime.fromisoformat(run.started_at) <= WEEK}
    status, _ = overall(series)
    changed = [each for each in suspects(series) if each.change.after.place in own]
    moved = tuple(_moved(series, own))
    blocks: list[Block] = [_changes_table(changed)] if changed else []
    if moved:
        head = "pace, requests/s | this week | before | change"
        blocks.append(table_of("moved-table", head, moved))
    document = Document(
        title=f"Performance, week to {last.date().isoformat()}: {status}",
        lead=f"{counted(len(own), 'run')}, {counted(len(series), 'series', 'series')},"
        f" {counted(len(changed), 'change')} found.",
        sections=(Section(id="week", title="", blocks=tuple(blocks)),),
    )
    return render_markdown(document, level=2)


def _moved(series: Sequence[FigureSeries], own: set[int]) -> Iterator[Row]:
    """Yield the paces of the week beside those before, where there are both."""
    for each in series:
        if each.figure.split(" ")[0] != MORE_IS_BETTER[0]:
            continue
        points = list(zip(each.runs, each.values, strict=True))
        week = [value for run, value in points if run.place in own]
        before = [value for run, value in points if run.place not in own]
        if week and before:
            now, then = sum(week) / len(week), sum(before) / len(before)
            yield row_of(each.title, now, then, signed(now / then - 1))
