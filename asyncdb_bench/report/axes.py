"""What figures share: each variant's looks, axes that say their scale, plain labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from asyncdb_bench.report.drawing import COLOURS, INK, MARKERS
from asyncdb_bench.text import visible

LONGEST = 34
"""Characters of a name that a legend or an axis has room for; tables have it whole."""
MOST = 16
"""Names that a legend lists; of more, only the table tells them apart."""
HATCH = "////////"
DECADES = 4
"""Of more than so many an axis names no steps in between."""


class Looks:
    """A colour and a marker for each variant, the same in every figure."""

    def __init__(self, variants: Sequence[str]) -> None:
        self._place = {variant: place for place, variant in enumerate(variants)}

    def place(self, variant: str) -> int:
        """Return a variant's place in the plan."""
        return self._place.get(variant, 0)

    def gid(self, variant: str, what: str) -> str:
        """Return the name of a variant's line in the SVG."""
        return f"v{self.place(variant)}.{what}"

    def of(self, variant: str) -> dict[str, Any]:
        """Return the line style of a variant."""
        place = self.place(variant)
        return {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[place % len(MARKERS)],
            "linestyle": ("-", "--", ":")[place // len(COLOURS) % 3],
        }


def plain(text: str, longest: int = LONGEST) -> str:
    """Return a name as a figure can carry it: one line, nothing invisible, not too long."""
    one_line = visible(re.sub(r"[\t\r\n]+", "\N{SYMBOL FOR NEWLINE}", text))
    return one_line if len(one_line) <= longest else f"{one_line[: longest - 1]}…"


def log_axis(
    axis: Any, axes: Any, which: str, values: Iterable[float | None], *, few: bool = False
) -> None:
    """Make an axis logarithmic with ticks at 1, 2 and 5 of each decade, in plain numbers.

    Where there is room for few, or many decades, the ticks are at the decades alone.
    """
    known = pd.Series([value for value in values if value is not None], dtype=float).dropna()
    known = known[known > 0]
    getattr(axes, f"set_{which}scale")("log")
    low, high = (known.min() * 0.8, known.max() * 1.25) if len(known) else (1, 10)
    getattr(axes, f"set_{which}lim")(low, high)
    decades = few or high > 10**DECADES * low
    ticks = [m * 10.0**e for e in range(-4, 7) for m in ((1,) if decades else (1, 2, 5))]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))


def legend(axes: Any) -> None:
    """Put the legend beside the axes, so that it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > MOST:
        handles, labels = (
            handles[:MOST],
            [*labels[: MOST - 1], f"… and {len(labels) - MOST + 1} more"],
        )
    axes.legend(
        handles, labels, frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0)
    )


def hatched(
    axes: Any, x: Sequence[float], y: Sequence[float], look: dict[str, Any], gid: str
) -> None:
    """Mark points as invalid: hatched, hollow, and joined to nothing."""
    axes.scatter(
        x, y, s=130, marker=look["marker"], facecolor="none", edgecolor=look["color"],
        hatch=HATCH, linewidth=0.8, gid=gid, label="_invalid",
    )  # fmt: skip


def invalid_in_legend(axes: Any) -> None:
    """Say in the legend what hatched means."""
    axes.scatter(
        [], [], s=90, marker="s", facecolor="none", edgecolor=INK, hatch=HATCH, label="invalid"
    )
