"""The map: paces by round trip, queries of a request, their time, and rows returned."""

from __future__ import annotations

from asyncdb_bench.analysis.comparison import command_of
from asyncdb_bench.analysis.knob_curve import KnobCurve, KnobPoint
from asyncdb_bench.analysis.pace_map import TITLES, PaceMap, best_words, borders, how_sure
from asyncdb_bench.analysis.pace_map import Cell as MapCell
from asyncdb_bench.analysis.pace_model import Fit
from asyncdb_bench.analysis.verdict import rate
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Document,
    Fold,
    Row,
    Section,
    Table,
    Text,
    row_of,
    table_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.decision import MOST_SENTENCES, figure_of
from asyncdb_bench.report.quantities import ratio_text
from asyncdb_bench.text import counted, number, ratio

CAPTION = (
    "Capacity with its bounds and its ceiling, and below it p99 and loop lag at the common load."
    " Recommended: the smallest value within 5 % of the best."
)


def knob_blocks(found: Findings, own: str, scenario: str) -> list[Block]:
    """Return a sentence, a figure and a table for each knob that was varied."""
    blocks: list[Block] = []
    for place, curve in enumerate(found.curves_over.get(scenario, ())):
        sentence = f"{curve.sentence[:1].upper()}{curve.sentence[1:]}."
        blocks.append(Text(f"{curve.name}: how many {curve.knob}? {sentence}"))
        figure = figure_of(found, scenario, f"knob{place}", f"{own}-knob{place}", CAPTION)
        if figure is not None:
            blocks.append(figure)
        blocks.append(_knob_table(curve, f"{own}-knob{place}-table"))
    return blocks


def _knob_table(curve: KnobCurve, place: str) -> Table:
    """Return the points of a curve, with the pace that theory predicts."""
    paced = bool(curve.points and curve.points[0].pace_rps)
    head = (
        Column(f"{curve.name}: {curve.knob}"),
        Column("capacity", "requests/s", term="capacity"),
        Column("ceiling by theory", "requests/s", term="ceiling"),
        Column("pace", "requests/s", term="pace"),
        Column("predicted", "requests/s", term="needs"),
        Column("p99, loop lag p99", "ms"),
    )
    rows = [_knob_row(curve, point, paced=paced) for point in curve.points]
    return table_of(place, head if paced else (*head[:3], head[-1]), rows)


def _knob_row(curve: KnobCurve, point: KnobPoint, *, paced: bool) -> Row:
    note = "" if point.deviation is None else f"measured {point.deviation:+.0%}"
    why = f": {point.why}" if note and point.why else ""
    predicted = (point.pace_rps, Cell(number(point.predicted_rps), f"{note}{why}"))
    return row_of(
        point.value,
        rate(point.capacity),
        point.ceiling_rps,
        *(predicted if paced else ()),
        f"{number(point.p99_ms)}, {number(point.loop_lag_p99_ms)}",
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


def _map(found: Findings, cells: PaceMap) -> list[Block]:
    figure = figure_of(found, "", "map", "map-figure", CELLS)
    blocks: list[Block] = [figure] if figure is not None else []
    launches = counted(found.manifest.plan.settings.blocks, "launch", "launches")
    missing = f"; {cells.missing} not reached" if cells.missing else ""
    blocks.append(Text(f"{counted(len(cells.cells), 'cell')}, {launches}{missing}.", tone="soft"))
    if len(cells.sentences) > MOST_SENTENCES:
        rest = tuple(f"{each}." for each in cells.sentences[MOST_SENTENCES:])
        blocks.append(Bullets(rest, more="lines"))
    head = (
        Column("cell", left=True),
        Column("best", left=True),
        *(Column(name, "requests/s") for name in cells.names),
        Column("how sure"),
    )
    note = (
        f"Small figures: the ratio to {cells.base}, with bounds that hold with 95 % for all pairs"
        " of a cell at once."
    )
    rows = [_cell_row(cells, cell) for cell in cells.cells]
    blocks.append(table_of("map-cells", head, rows, note=note))
    if cells.model is not None:
        tables = (_model_table(cells.model), _between_table(cells, cells.model))
        title = "A model for what lies between"
        blocks.append(Fold(id="model", title=title, line="", blocks=tables))
    return blocks


def _cell_row(cells: PaceMap, cell: MapCell) -> Row:
    case = cell.case
    measured = f" ({cell.measured_ms:.2f})" if cell.measured_ms else ""
    what = counted(int(case.queries), "query", "queries")
    rows = f", {counted(int(case.rows), 'row')}" if case.rows != 1 else ""
    where = f"{number(case.rtt_ms)} ms away{measured}, {what} of {number(case.ms)} ms{rows}"
    paces = []
    for name in cells.names:
        each = cell.beside_base.get(name)
        note = ratio_text(each) if each is not None and each.ratio is not None else ""
        paces.append(Cell(number(cell.paces.get(name)), note))
    return row_of(where, best_words(cell), *paces, how_sure(cell))


def _model_table(model: Fit) -> Table:
    return table_of(
        "map-model",
        "variant | at once | CPU of a request [ms] | CPU of a query [ms] | round trips besides"
        " | a query beside its time [ms] | error: median, worst | cells within 15 %",
        (
            row_of(
                name,
                str(way.at_once),
                way.cpu_ms,
                way.cpu_each_ms,
                way.trips,
                way.each_ms,
                f"{model.typical(name):.0%}, {model.worst(name):.0%}",
                f"{model.within(name):.0%}",
                variant=name,
            )
            for name, way in model.ways.items()
        ),
        note=MODEL,
    )


def _between_table(cells: PaceMap, model: Fit) -> Table:
    rows = []
    for case, said in cells.between():
        where = (
            f"{number(case.rtt_ms)} ms away, {number(case.queries)} queries of {number(case.ms)} ms"
        )
        told = [
            "not known" if each is None else f"{number(each[0])}/s ± {each[1]:.0%}"
            for each in (said[name] for name in model.ways)
        ]
        rows.append(row_of(where, *told))
    return table_of(
        "map-between",
        (Column("case", left=True), *(Column(name, "requests/s") for name in model.ways)),
        rows,
        title="What it says between the cells",
        note="With the worst error of the cells about the place; not known: it is beyond 15 %.",
    )


def map_document(cells: PaceMap, manifest: Manifest) -> Document:
    """Return ``map.md`` as data: a table of cells for each panel of the map, and the model.

    Parameters
    ----------
    cells : the map.
    manifest : for where the figures come from.
    """
    settings, machine = manifest.plan.settings, manifest.machine
    crossings = tuple(f"{each[:1].upper()}{each[1:]}." for each in borders(cells.cells))
    first: tuple[Block, ...] = (Bullets(crossings),) if crossings else ()
    sections = [Section(id="borders", title="", blocks=first)]
    panel, column, row = cells.shown
    for place, at_panel in enumerate(cells.values(panel)):
        across = cells.values(column)
        head = (Column(TITLES[row]), *(Column(_value(column, each), left=True) for each in across))
        rows = [
            row_of(
                f"{at_row:g}",
                *(
                    _grid_cell(cells.at({panel: at_panel, column: at_column, row: at_row}))
                    for at_column in across
                ),
            )
            for at_row in cells.values(row)
        ]
        title = f"{TITLES[panel][:1].upper()}{TITLES[panel][1:]}: {_value(panel, at_panel)}"
        table = table_of(f"panel-{place}", head, rows)
        sections.append(Section(id=f"panel-{place}-section", title=title, blocks=(table,)))
    if cells.model is not None:
        model = _model_table(cells.model)
        sections.append(Section(id="model", title="The model", blocks=(model,)))
    source = Text(
        f"Measured by `{command_of(manifest)}` (seed {manifest.seed}) on {machine['cpu']},"
        f" {machine['cores']} cores, {manifest.started_at};"
        f" {counted(settings.blocks, 'launch', 'launches')}, turns of {settings.turn_s:g} s and"
        " more."
    )
    return Document(
        title="The map",
        lead="Which strategy has the highest pace for which request? Each cell names it with those"
        " that this run does not distinguish from it, its pace, and the ratios of the others. Pace:"
        f" requests per second of {settings.connections} connections that ask again at once, with"
        f" {settings.budget} connections to the database for each strategy, on one core.",
        sections=(*sections, Section(id="source", title="", blocks=(source,))),
    )


def _value(axis: str, value: float) -> str:
    if axis == "rtt_ms":
        return f"{value:g} ms away" if value else "loopback"
    return f"{value:g} ms" if axis == "ms" else f"{value:g}"


def _grid_cell(cell: MapCell | None) -> Cell:
    if cell is None:
        return Cell("not reached")
    pace = cell.paces[cell.leader]
    others = [f"{n} {ratio(v / pace)}" for n, v in cell.paces.items() if n not in cell.best]
    text = f"{best_words(cell)}: {number(pace)}/s; {', '.join(others) or 'no other'}"
    return Cell(text, how_sure(cell))
