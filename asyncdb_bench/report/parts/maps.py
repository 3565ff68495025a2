"""The maps: round trip x queries x time of a query, and query time x rows."""

from __future__ import annotations

from asyncdb_bench.analysis.crossover_map import CrossoverMap, MapCell
from asyncdb_bench.analysis.round_trip_map import Cell as TripCell
from asyncdb_bench.analysis.round_trip_map import RoundTripMap
from asyncdb_bench.analysis.round_trip_words import best_words, how_sure, told
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
from asyncdb_bench.report.parts.figures import figure_of
from asyncdb_bench.report.turn_words import ratio_text
from asyncdb_bench.text import counted, number

TRIPS = (
    "For each time of a query one panel; in each cell the way with the best pace, in its colour;"
    " hatched: others are the same, or not told from it; then its pace, and how far off the ratios"
    " beside it may be."
)
ROWS = (
    "For each query time and size of answer the variant with the highest capacity, in its colour;"
    " hatched: a tie; then its capacity and the loop lag p99 that it costs there."
)
MODEL = (
    "A closed network of one station (the application's core) and one delay (round trips and"
    " queries), with as many requests in it as the way lets in at once: mean value analysis,"
    " bounded by the asymptotes. Errors are of cells that the fit did not know."
)


def map_section(found: Findings) -> Section | None:
    """Return the map's section; None: the run was no map."""
    blocks: list[Block] = []
    if found.trips_map is not None:
        blocks += _trips(found, found.trips_map)
    if found.found_map is not None:
        blocks += _rows(found, found.found_map)
    if not blocks:
        return None
    return Section(id="map", title="The map", blocks=tuple(blocks), nav="Map")


def _trips(found: Findings, trips: RoundTripMap) -> list[Block]:
    figure = figure_of(found, "", "round_trips", "map-trips", TRIPS)
    blocks: list[Block] = [figure] if figure is not None else []
    blocks.append(
        Text(
            text=f"{counted(len(trips.cells), 'cell')},"
            f" {counted(found.manifest.plan.settings.blocks, 'block')} at most"
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


def _trip_row(trips: RoundTripMap, cell: TripCell) -> Row:
    case = cell.case
    measured = f" ({cell.measured_ms:.2f})" if cell.measured_ms else ""
    what = counted(int(case.queries), "query", "queries")
    where = f"{number(case.rtt_ms)} ms away{measured}, {what} of {number(case.ms)} ms"
    cells = [Cell(text=where), Cell(text=best_words(cell))]
    for name in trips.names:
        each = cell.beside_base.get(name)
        note = ratio_text(each) if each is not None and each.ratio is not None else ""
        cells.append(Cell(text=number(cell.paces.get(name)), note=note))
    return Row(cells=(*cells, Cell(text=how_sure(cell))))


def _model(trips: RoundTripMap) -> Fold:
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
        note="With the worst error of the cells about the place; not told: it is beyond 15 %.",
    )
    return Fold(id="model", title="A model for what lies between", line="", blocks=(ways, between))


def _rows(found: Findings, cells: CrossoverMap) -> list[Block]:
    figure = figure_of(found, "", "map", "map-rows", ROWS)
    blocks: list[Block] = [figure] if figure is not None else []
    names = [each.label for each in found.manifest.plan.variants]
    blocks.append(
        Table(
            id="map-cells",
            columns=(
                Column(title="cell", left=True),
                Column(title="best", left=True),
                *(Column(title=name, unit="requests/s, loop lag p99 ms") for name in names),
            ),
            rows=tuple(_sweep_row(cell, names) for cell in cells.cells),
            note="Each cell's objective: p99 below five times the query's time, and never under"
            " 100 ms. Within 1.5 x, or where intervals overlap, it is a tie.",
        )
    )
    return blocks


def _sweep_row(cell: MapCell, names: list[str]) -> Row:
    where = f"{number(cell.ms)} ms, {counted(cell.rows, 'row')}"
    first = Cell(text=where, note=f"not sound: {cell.why_not}" if cell.why_not else "")
    cells = [first, Cell(text=" = ".join(cell.best) or "none")]
    for name in names:
        carried = cell.capacities.get(name)
        lag = number(cell.loop_lag_ms.get(name))
        cells.append(Cell(text=f"{rate(carried)}, {lag}") if carried else Cell(text="–"))
    return Row(cells=tuple(cells), tone="" if cell.sound else "bad")
