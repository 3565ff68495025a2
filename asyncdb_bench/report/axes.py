"""What figures share: each variant's looks, axes that say their scale, plain labels."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from asyncdb_bench.text import visible, xml_text

# Okabe and Ito's palette, which colour-blind readers can tell apart, less its yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#000000"
"""Becomes the page's own colour of text, so that a dark page shows it too."""
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    # figures are made much faster than pages are read, but labels from data are never formulas
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
SVG = "http://www.w3.org/2000/svg"
HREF = "{http://www.w3.org/1999/xlink}href"
ET.register_namespace("", SVG)


@dataclass(frozen=True, slots=True)
class FigureData:
    """The figures behind a drawing, as text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure: SVG text, what it shows in words, the data behind it, and itself."""

    svg: str
    alt: str
    data: FigureData | None = None
    figure: Figure | None = field(default=None, compare=False, repr=False)


def svg_markup(made: Drawing) -> Markup:
    """Mark a figure of ours as safe to put into the page; its texts were escaped when drawn."""
    return Markup(made.svg)  # noqa: S704


def drawing(
    figure: Figure,
    name: str,
    text: str,
    data: FigureData | None = None,
    hover: Mapping[str, Sequence[str]] | None = None,
) -> Drawing:
    """Return a figure as SVG with what it shows in words.

    Parameters
    ----------
    figure : drawn.
    name : unique in the page: the start of the SVG's ids.
    text : for those who do not see it.
    data : the figures behind it.
    hover : by the ``gid`` of a line, a text for each of its markers, which a pointer shows.
    """
    return Drawing(_svg(figure, name, text, hover or {}), text, data, figure)


def png(made: Drawing) -> bytes:
    """Return a figure as PNG on white, 144 dots an inch."""
    assert made.figure is not None
    buffer = io.BytesIO()
    with rc_context(STYLE):
        made.figure.savefig(buffer, format="png", dpi=144, facecolor="white")
    return buffer.getvalue()


def _svg(figure: Figure, name: str, alt: str, hover: Mapping[str, Sequence[str]]) -> str:
    """Return a figure as SVG to put into a page: text as text, ids of its own, no prolog."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # a name may hold what no XML can
    root = ET.fromstring(xml_text(buffer.getvalue()))  # noqa: S314 - of matplotlib, just above
    for extra in root.findall(f"{{{SVG}}}metadata"):
        root.remove(extra)
    prefix = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") + _place(name)
    for element in root.iter():
        _mark(element, hover)
        _rename(element, prefix)
    root.set("role", "img")
    root.set("aria-label", visible(alt))
    return ET.tostring(root, encoding="unicode")


def _place(name: str) -> str:
    """Return what tells two names apart that differ only in what no id may hold."""
    odd = "".join(re.findall(r"[^A-Za-z0-9_-]", name))
    return f"-{sum(ord(each) * (n + 1) for n, each in enumerate(odd)):x}" if odd else ""


def _mark(element: ET.Element, hover: Mapping[str, Sequence[str]]) -> None:
    """Tell which variant a group is of, and give its markers their texts."""
    gid = element.get("id", "")
    found = re.fullmatch(r"v(\d+)\.\w+", gid)
    if found is None:
        return
    del element.attrib["id"]
    element.set("data-variant", found[1])
    # a line's markers are uses of one shape; hatched points are drawn one by one
    marks = list(element.iter(f"{{{SVG}}}use")) or element.findall(f"{{{SVG}}}path")
    texts = hover.get(gid, ())
    if len(marks) == len(texts):
        for mark, text in zip(marks, texts, strict=True):
            ET.SubElement(mark, f"{{{SVG}}}title").text = visible(text)


def _rename(element: ET.Element, prefix: str) -> None:
    """Make ids the page's own, and what refers to them; ink becomes the page's."""
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif key == HREF:
            del element.attrib[key]
            element.set("href", f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{prefix}-"))
    style = element.get("style")
    if style and INK in style:
        element.set("style", style.replace(INK, "currentColor"))


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
