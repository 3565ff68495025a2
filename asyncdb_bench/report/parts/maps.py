"""The map: paces by round trip, queries of a request, their time, and rows returned."""

from __future__ import annotations

from asyncdb_bench.analysis.knob_curve import KnobCurve, KnobPoint
from asyncdb_bench.analysis.pace_map import Cell as MapCell
from asyncdb_bench.analysis.pace_map import PaceMap, best_words, how_sure, told
from asyncdb_bench.analysis.verdict import rate
from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Fold,
    Row,
    Section,
    Table,
    Text,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.decision import figure_of
from asyncdb_bench.report.quantities import ratio_text
from asyncdb_bench.text import counted, number

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


CELLS = (
    "In each cell the way with the best pace, in its colour;"
    " hatched: others are the same, or not told from it; then its pace, and how far off the ratios"
    " beside it may be."
)
MODEL = (
    "A closed network of one station (the application's core) and one delay (round trips and"
    " queries), with as many requests in it as the way lets in at once: mean value analysis,"
    " bounded by the asymptotes. Errors are of cells that the fit did not know."
)


def map_section(found: Findings) -> Section | None:
    """Return the map's section; None: the run was no map."""
    if found.pace_map is None:
        return None
    blocks = tuple(_map(found, found.pace_map))
    return Section(id="map", title="The map", blocks=blocks, nav="Map")


def _map(found: Findings, trips: PaceMap) -> list[Block]:
    figure = figure_of(found, "", "map", "map-figure", CELLS)
    blocks: list[Block] = [figure] if figure is not None else []
    blocks.append(
        Text(
            text=f"{counted(len(trips.cells), 'cell')},"
            f" {counted(found.manifest.plan.settings.blocks, 'launch', 'launches')}"
            + (f"; {trips.missing} not reached" if trips.missing else "")
            + ".",
            tone="soft",
        )
    )
    if len(trips.sentences) > 6:
        blocks.append(
            Bullets(items=tuple(f"{each}." for each in trips.sentences[6:]), more="lines")
        )
    columns = (
        Column(title="cell", left=True),
        Column(title="best", left=True),
        *(Column(title=name, unit="requests/s") for name in trips.names),
        Column(title="how sure"),
    )
    blocks.append(
        Table(
            id="map-cells",
            columns=columns,
            rows=tuple(_trip_row(trips, cell) for cell in trips.cells),
            note=f"Small figures: the ratio to {trips.base}, with bounds that hold with 95 % for"
            " all pairs of a cell at once.",
        )
    )
    if trips.model is not None:
        blocks.append(_model(trips))
    return blocks


def _trip_row(trips: PaceMap, cell: MapCell) -> Row:
    case = cell.case
    measured = f" ({cell.measured_ms:.2f})" if cell.measured_ms else ""
    what = counted(int(case.queries), "query", "queries")
    rows = f", {counted(int(case.rows), 'row')}" if case.rows != 1 else ""
    where = f"{number(case.rtt_ms)} ms away{measured}, {what} of {number(case.ms)} ms{rows}"
    cells = [Cell(text=where), Cell(text=best_words(cell))]
    for name in trips.names:
        each = cell.beside_base.get(name)
        note = ratio_text(each) if each is not None and each.ratio is not None else ""
        cells.append(Cell(text=number(cell.paces.get(name)), note=note))
    return Row(cells=(*cells, Cell(text=how_sure(cell))))


def _model(trips: PaceMap) -> Fold:
    model = trips.model
    assert model is not None
    ways = Table(
        id="map-model",
        columns=(
            Column(title="variant", left=True),
            Column(title="at once"),
            Column(title="CPU of a request", unit="ms"),
            Column(title="CPU of a query", unit="ms"),
            Column(title="round trips besides"),
            Column(title="a query beside its time", unit="ms"),
            Column(title="error: median, worst"),
            Column(title="cells within 15 %"),
        ),
        rows=tuple(
            Row(
                cells=tuple(
                    Cell(text=text)
                    for text in (
                        name,
                        str(way.at_once),
                        number(way.cpu_ms),
                        number(way.cpu_each_ms),
                        number(way.trips),
                        number(way.each_ms),
                        f"{model.typical(name):.0%}, {model.worst(name):.0%}",
                        f"{model.within(name):.0%}",
                    )
                ),
                variant=name,
            )
            for name, way in model.ways.items()
        ),
        note=MODEL,
    )
    between = Table(
        id="map-between",
        title="What it says between the cells",
        columns=(
            Column(title="case", left=True),
            *(Column(title=name, unit="requests/s") for name in model.ways),
        ),
        rows=tuple(
            Row(
                cells=(
                    Cell(
                        text=f"{number(case.rtt_ms)} ms away, {number(case.queries)} queries of"
                        f" {number(case.ms)} ms"
                    ),
                    *(Cell(text=told(said[name])) for name in model.ways),
                )
            )
            for case, said in trips.between()
        ),
        note="With the worst error of the cells about the place; not known: it is beyond 15 %.",
    )
    return Fold(id="model", title="A model for what lies between", line="", blocks=(ways, between))
