"""Curves over one knob: how many threads, connections, processes."""

from __future__ import annotations

from asyncdb_bench.analysis.knob_curve import KnobCurve, KnobPoint
from asyncdb_bench.analysis.verdict import rate
from asyncdb_bench.report.document import Block, Cell, Column, Row, Table, Text
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.figures import figure_of
from asyncdb_bench.text import number

CAPTION = (
    "Capacity with its bounds and its ceiling, and below it p99 and loop lag at the common load."
    " Recommended: the smallest value within 5 % of the best."
)


def knob_blocks(found: Findings, own: str, scenario: str) -> list[Block]:
    """Return a sentence, a figure and a table for each knob that was varied."""
    blocks: list[Block] = []
    for place, curve in enumerate(found.curves_over.get(scenario, ())):
        sentence = f"{curve.sentence[:1].upper()}{curve.sentence[1:]}."
        blocks.append(Text(text=f"{curve.name}: how many {curve.knob}? {sentence}"))
        figure = figure_of(found, scenario, f"knob{place}", f"{own}-knob{place}", CAPTION)
        if figure is not None:
            blocks.append(figure)
        blocks.append(knob_table(curve, f"{own}-knob{place}-table"))
    return blocks


def knob_table(curve: KnobCurve, place: str) -> Table:
    """Return the points of a curve, with the pace that theory predicts."""
    paced = bool(curve.points and curve.points[0].pace_rps)
    columns = (
        Column(title=f"{curve.name}: {curve.knob}"),
        Column(title="capacity", unit="requests/s", term="capacity"),
        Column(title="ceiling by theory", unit="requests/s", term="ceiling"),
        *(
            (
                Column(title="pace", unit="requests/s", term="pace"),
                Column(title="predicted", unit="requests/s", term="needs"),
            )
            if paced
            else ()
        ),
        Column(title="p99, loop lag p99", unit="ms"),
    )
    rows = tuple(_row(curve, point, paced=paced) for point in curve.points)
    return Table(id=place, columns=columns, rows=rows)


def _row(curve: KnobCurve, point: KnobPoint, *, paced: bool) -> Row:
    note = "" if point.deviation is None else f"measured {point.deviation:+.0%}"
    why = f": {point.why}" if note and point.why else ""
    predicted = (
        (
            Cell(text=number(point.pace_rps)),
            Cell(text=number(point.predicted_rps), note=f"{note}{why}"),
        )
        if paced
        else ()
    )
    return Row(
        cells=(
            Cell(text=number(point.value)),
            Cell(text=rate(point.capacity)),
            Cell(text=number(point.ceiling_rps)),
            *predicted,
            Cell(text=f"{number(point.p99_ms)}, {number(point.loop_lag_p99_ms)}"),
        ),
        variant=point.variant,
        tone="good" if point is curve.recommended else "" if point.sound else "bad",
    )
