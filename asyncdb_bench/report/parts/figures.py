"""A drawing as a part of the document: its name, its words, its data."""

from __future__ import annotations

from asyncdb_bench.report.document import Figure
from asyncdb_bench.report.findings import Findings


def figure_of(
    found: Findings, scenario: str, name: str, place: str, caption: str, role: str = ""
) -> Figure | None:
    """Return a figure of a scenario; None: it was not drawn.

    Parameters
    ----------
    found : with the drawings.
    scenario, name : of the drawing.
    place : unique in the page.
    caption, role : see :class:`Figure`.
    """
    made = found.figures.get(scenario, {}).get(name)
    if made is None:
        return None
    data = made.data
    return Figure(
        id=place,
        scenario=scenario,
        name=name,
        caption=caption,
        alt=made.alt,
        columns=data.columns if data else (),
        rows=data.rows if data else (),
        role=role,
    )
