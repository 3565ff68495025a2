"""The history for those who look every morning: red first, a badge, data, a week in Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from asyncdb_bench.extensions.history.change_points import (
    FigureSeries,
    Status,
    all_series,
    overall,
    suspects,
)
from asyncdb_bench.extensions.history.page import (
    badge,
    history_document,
    series_section,
    trend_rows,
    weekly,
    write_history,
)
from asyncdb_bench.report.axes import Drawing
from asyncdb_bench.report.document import Figure, Fold, Table
from tests.history.test_history import history_runs, series, stepped

RUNS = history_runs(60)


def changed(*steps: tuple[str, int, float]) -> list[FigureSeries]:
    """Return series of figures that change at a run by a ratio."""
    found: list[FigureSeries] = []
    for figure, at, ratio in steps:
        found += all_series(RUNS, series(stepped(60, at, ratio), figure=figure))
    return found


def test_a_higher_latency_is_worse_and_a_higher_pace_better() -> None:
    found = suspects(changed(("p50_ms", 55, 1.3), ("pace_rps", 55, 1.3), ("pace_rps", 30, 0.7)))
    assert [each.status for each in found] == [Status.WORSE, Status.WORSE, Status.BETTER]
    assert found[0].recent
    assert not found[1].recent
    assert found[0].revisions == "rev10..rev11"


def test_the_status_is_of_recent_changes() -> None:
    assert overall(changed(("p50_ms", 30, 1.3))) == (Status.STEADY, 0)
    assert overall(changed(("p50_ms", 54, 1.3))) == (Status.WORSE, 1)
    assert overall(changed(("p50_ms", 54, 0.7))) == (Status.BETTER, 1)
    assert overall(changed(("canary_cpu_ms", 54, 1.3))) == (Status.MACHINE, 1)


def test_the_badge_is_whole_svg_that_says_the_status() -> None:
    root = ET.fromstring(badge(changed(("p50_ms", 54, 1.3))))
    assert root.get("aria-label") == "performance: 1 worse"
    assert "steady" in badge([])


def test_others_read_every_point_and_change() -> None:
    rows = json.loads(json.dumps(trend_rows(RUNS, changed(("p50_ms", 35, 1.3)))))
    assert (rows["runs"], rows["status"]) == (60, "steady")
    (only,) = rows["series"]
    assert len(only["points"]) == 60
    (change,) = only["changes"]
    assert (change["before"], change["after"], change["status"]) == ("rev6", "rev7", "worse")


def test_the_week_tells_its_changes_and_paces() -> None:
    text = weekly(RUNS, changed(("p50_ms", 55, 1.4), ("pace_rps", 35, 0.8)))
    assert text.startswith("## Performance, week to 2026-03-04: worse")
    assert "rev10..rev11" in text
    assert "rev6..rev7" not in text, "that was weeks ago"
    assert "| read · native · pace_rps |" in text


def test_worse_stands_first_and_what_is_steady_lies_behind_a_line(tmp_path: Path) -> None:
    found = changed(("pace_rps", 40, 1.3), ("p50_ms", 54, 1.3), ("p95_ms", 60, 1.0))
    path = write_history(RUNS, found, [], tmp_path)
    assert {each.name for each in path.parent.iterdir()} == {
        "index.html", "badge.svg", "trend.json", "weekly.md",
    }  # fmt: skip
    document = history_document(RUNS, found, [])
    assert document.title == "Performance: worse"
    (table,) = [each for each in document.walk() if isinstance(each, Table)]
    assert [row.cells[0].text for row in table.rows] == ["worse", "better"]
    *changed_, steady = series_section(found, [Drawing("", "")] * len(found)).blocks
    assert [each.name for each in changed_ if isinstance(each, Figure)] == ["1", "0"]
    assert isinstance(steady, Fold)
    assert steady.title == "1 series without a change"
