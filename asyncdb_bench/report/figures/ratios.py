"""All ratios of a run on one axis: each variant beside the best of its scenario, by interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.report.axes import INK, STYLE, Drawing, FigureData, Looks, drawing, plain
from asyncdb_bench.text import listed
from asyncdb_bench.text import ratio as as_ratio

TICKS = (0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4)
LOOKS = {Said.BETTER: ("#009E73", "o"), Said.WORSE: ("#D55E00", "s"), Said.SAME: ("#0072B2", "D")}
OTHER = ("#7F7F7F", "^")


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of the figure: a ratio above 1 where head is worse, and its interval."""

    label: str
    low: float
    ratio: float
    high: float
    said: Said


def forest_figure(rows: Sequence[ForestRow], scenario: str, band: float) -> Drawing | None:
    """Draw ratios; to the right head is worse, whatever the figure.

    Parameters
    ----------
    rows : from the top.
    scenario : for the words that stand for the figure.
    band : ratio up to which a change does not matter; shaded.

    Returns
    -------
    Drawing, or None where there is nothing to draw.
    """
    if not rows:
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(8.2, 1.1 + 0.34 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(1 / band, band, color="#0072B2", alpha=0.10, linewidth=0)
        axes.axvline(1, color="#444444", linewidth=1)
        for place, row in enumerate(rows):
            colour, marker = LOOKS.get(row.said, OTHER)
            axes.plot((row.low, row.high), (place, place), color=colour, linewidth=2)
            axes.plot(row.ratio, place, marker, color=colour, markersize=7)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.invert_yaxis()
        # beyond a factor of four either way it does not matter how far
        low = max(0.25, min(0.85, *(row.low for row in rows)) * 0.97)
        high = min(4, max(1.18, *(row.high for row in rows)) * 1.03)
        _log_ratios(axes, TICKS, low, high)
        axes.set_xlabel(
            "ratio (log scale): head is better to the left, worse to the right; paces inverted"
        )
        words = f"Ratios of head to base in {scenario}, each with its interval"
        return drawing(figure, f"forest-{scenario}", words)


ROW, WIDE = 0.225, 5.2
"""Of a line and of the figure, inches."""
MOST = 12
"""Variants of a scenario that are drawn, the nearest to the best; the tables have them all."""
RATIO_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class RatioLine:
    """One ratio to draw; `said` is what is said of it, in a word."""

    variant: str
    ratio: float
    low: float | None
    high: float | None
    said: str


def ratio_lines(comparison: Comparison) -> list[RatioLine]:
    """Return each variant's ratio to the best, the nearest first; the best itself is 1."""
    found = comparison.findings
    if not found.leader:
        return []
    lines = [RatioLine(found.leader, 1.0, 1.0, 1.0, "best")]
    for each in found.beside:
        if each.ratio is not None:
            low, high = each.ratio.bounds or (None, None)
            lines.append(RatioLine(each.other, each.ratio.ratio, low, high, str(each.said)))
    return sorted(lines, key=lambda line: -line.ratio)


def ratios(comparisons: Sequence[Comparison], looks: Looks) -> Drawing | None:
    """Draw all ratios, by scenario; None: there are none."""
    groups = [(each.scenario, ratio_lines(each)) for each in comparisons]
    groups = [(scenario, lines) for scenario, lines in groups if lines]
    if not groups:
        return None
    count = sum(1 + min(len(lines), MOST) for _, lines in groups)
    figure = Figure(figsize=(WIDE, 0.55 + ROW * (count + 0.5)), layout="constrained")
    axes = figure.add_subplot()
    labels, hover, at, rows = [], {}, 0.0, []
    for number, (scenario, lines) in enumerate(groups):
        labels.append((at, plain(scenario, 22), True))
        for line in lines[:MOST]:
            at += 1
            labels.append((at, plain(line.variant, 22), False))
            gid = looks.gid(line.variant, f"ratio{number}")
            _draw(axes, at, line, looks, gid)
            hover[gid] = [f"{scenario}: {line.variant} {_words(line)}"]
        at += 1
        rows += [(line.variant, scenario, *_texts(line)) for line in lines]
    axes.axvline(1, color=INK, linewidth=1)
    _scales(axes, [line for _, lines in groups for line in lines], at)
    axes.set_yticks([place for place, _, _ in labels], [text for _, text, _ in labels], fontsize=9)
    for label, (_, _, head) in zip(axes.get_yticklabels(), labels, strict=True):
        label.set_fontweight("bold" if head else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    what = listed(sorted({each.findings.main.title for each in comparisons}))
    axes.set_xlabel(f"{what} beside the best (log scale)", fontsize=9)
    text = f"{what} beside the best, by scenario: " + "; ".join(" ".join(row[:3]) for row in rows)
    columns = ("variant", "scenario", "ratio", "from", "to", "said")
    return drawing(figure, "ratios", text, FigureData(columns, tuple(rows)), hover)


def _draw(axes: Any, at: float, line: RatioLine, looks: Looks, gid: str) -> None:
    """Draw an interval and its mark: full where the answer is known, hollow where it is not."""
    look = looks.of(line.variant)
    low, high = line.low or line.ratio, line.high or line.ratio
    axes.plot([low, high], [at, at], color=look["color"], linewidth=2)
    shape = "D" if line.said == "the same" else "o"
    face = "none" if line.said in ("not known", "not sound") else look["color"]
    axes.plot([line.ratio], [at], shape, color=look["color"], mfc=face, markersize=6, gid=gid)


def _scales(axes: Any, lines: Sequence[RatioLine], last: float) -> None:
    known = [value for line in lines for value in (line.low, line.ratio, line.high) if value]
    low, high = max(min(known) * 0.9, 0.01), min(max(known) * 1.1, 10)
    _log_ratios(axes, RATIO_TICKS, min(low, 0.85), max(high, 1.15))
    axes.set_ylim(last - 0.3, -0.6)


def _log_ratios(axes: Any, ticks: Sequence[float], low: float, high: float) -> None:
    """Make the horizontal axis one of ratios, with some ticks in plain numbers."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _words(line: RatioLine) -> str:
    ratio, low, high, said = _texts(line)
    bounds = f" ({low} to {high})" if low != "–" else ""
    return f"{ratio} x{bounds}, {said}"


def _texts(line: RatioLine) -> tuple[str, str, str, str]:
    low, high = (as_ratio(each) if each else "–" for each in (line.low, line.high))
    return as_ratio(line.ratio), low, high, line.said
