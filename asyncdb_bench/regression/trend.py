"""The history for those who look each morning: status, badge, JSON, a week in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from asyncdb_bench.records.history_file import HistoryRun
from asyncdb_bench.regression.change_points import CANARY, Change, FigureSeries, why
from asyncdb_bench.text import counted, markdown_cell, number, signed, xml_text

RECENT = 10
"""Runs after a change for which it is news."""
MORE_IS_BETTER = ("pace_rps", "capacity_rps")
WEEK = timedelta(days=7)
TREND_SCHEMA = 1


class Status(StrEnum):
    """What the history says of now."""

    WORSE = "worse"
    BETTER = "better"
    MACHINE = "machine changed"
    STEADY = "steady"


COLOURS = {
    Status.WORSE: "#a40e26",
    Status.BETTER: "#116329",
    Status.MACHINE: "#7d4e00",
    Status.STEADY: "#116329",
}


@dataclass(frozen=True, slots=True)
class Suspect:
    """A change of a series, and what it means.

    Parameters
    ----------
    series, change : what changed.
    status : whether the code's figure got worse or better, or the machine changed.
    recent : whether it lies in the last :data:`RECENT` runs.
    """

    series: FigureSeries
    change: Change
    status: Status
    recent: bool

    @property
    def revisions(self) -> str:
        """The last revision before and the first after: where to look."""
        return f"{self.change.before.revision[:12]}..{self.change.after.revision[:12]}"


def status_of(series: FigureSeries, change: Change) -> Status:
    """Return what a change means."""
    if series.figure.startswith(CANARY) or change.machine:
        return Status.MACHINE
    more = series.figure.split(" ")[0] in MORE_IS_BETTER
    return Status.BETTER if (change.ratio > 1) == more else Status.WORSE


def suspects(series: Sequence[FigureSeries]) -> list[Suspect]:
    """Return all changes: the worse first, of each kind the newest first."""
    found = [
        Suspect(each, change, status_of(each, change), recent=len(each.runs) - change.at <= RECENT)
        for each in series
        for change in each.changes
    ]
    order = list(Status)
    return sorted(found, key=lambda s: (order.index(s.status), -s.change.after.place))


def overall(series: Sequence[FigureSeries]) -> tuple[Status, int]:
    """Return the worst status among recent changes, and how many changes have it."""
    recent = [each.status for each in suspects(series) if each.recent]
    for status in (Status.WORSE, Status.BETTER, Status.MACHINE):
        if count := recent.count(status):
            return status, count
    return Status.STEADY, 0


def badge(series: Sequence[FigureSeries]) -> str:
    """Return the status as a small SVG, to put into a README."""
    status, count = overall(series)
    said = xml_text(f"{count} {status}" if count else str(status))
    left, right = 82, 14 + 7 * len(said)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="performance: {said}"><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{COLOURS[status]}"/>'
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
    """Return the week before the newest run as Markdown."""
    last = datetime.fromisoformat(runs[-1].started_at)
    own = {run.place for run in runs if last - datetime.fromisoformat(run.started_at) <= WEEK}
    status, _ = overall(series)
    changed = [each for each in suspects(series) if each.change.after.place in own]
    lines = [
        f"## Performance, week to {last.date().isoformat()}: {status}",
        "",
        f"{counted(len(own), 'run')}, {counted(len(series), 'series', 'series')},"
        f" {counted(len(changed), 'change')} found.",
        "",
    ]
    if changed:
        lines += ["| change | figure | revisions | what it may be |", "|---:|---|---|---|"]
        lines += [
            f"| {signed(each.change.ratio - 1)} | {markdown_cell(each.series.title)} |"
            f" `{each.revisions}` | {markdown_cell(why(each.series, each.change))} |"
            for each in changed
        ]
        lines.append("")
    lines += list(_moved(series, own))
    return "\n".join(lines).rstrip() + "\n"


def _moved(series: Sequence[FigureSeries], own: set[int]) -> Iterator[str]:
    """Yield the paces of the week beside those before, where there are both."""
    rows = []
    for each in series:
        if each.figure.split(" ")[0] != MORE_IS_BETTER[0]:
            continue
        points = list(zip(each.runs, each.values, strict=True))
        week = [value for run, value in points if run.place in own]
        before = [value for run, value in points if run.place not in own]
        if week and before:
            now, then = sum(week) / len(week), sum(before) / len(before)
            rows.append(
                f"| {markdown_cell(each.title)} | {number(now)} | {number(then)} |"
                f" {signed(now / then - 1)} |"
            )
    if rows:
        yield "| pace, requests/s | this week | before | |"
        yield "|---|---:|---:|---:|"
        yield from rows
