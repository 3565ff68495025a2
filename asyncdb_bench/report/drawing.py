"""A matplotlib figure as SVG to put into a page: the looks, and text that stays text."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, less its yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure: SVG text, and what it shows in words."""

    svg: str
    alt: str


def svg_markup(made: Drawing) -> Markup:
    """Mark a figure of ours as safe to put into the page; its texts were escaped when drawn."""
    return Markup(made.svg)  # noqa: S704


def drawing(figure: Figure, name: str, text: str) -> Drawing:
    """Return a figure as SVG with what it shows in words.

    Parameters
    ----------
    figure : drawn.
    name : unique in the page: the start of the SVG's ids.
    text : for those who do not see it.
    """
    return Drawing(_svg(figure, name, text), text)


def _svg(figure: Figure, name: str, alt: str) -> str:
    """Return a figure as SVG to put into a page: text as text, ids of its own, no prolog."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    prefix = re.sub(r"\W+", "-", name)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(
        r'(xlink:href="#|href="#|url\(#)(?!' + re.escape(prefix) + ")", rf"\1{prefix}-", svg
    )
    label = alt.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
