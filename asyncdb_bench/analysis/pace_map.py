"""The map: paces by round trip, queries of a request, their time, and rows that they return. Pure.

In: the comparisons of its cells. Out: who leads where and by how much, how sure that is, the
borders in sentences, and a model for what lies between the cells.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.decision import measured_ms
from asyncdb_bench.analysis.inference import PACE, Said
from asyncdb_bench.analysis.metric_table import Answer
from asyncdb_bench.analysis.pace_model import Case, Fit, fit
from asyncdb_bench.records.plan import PlannedScenario, Settings, Variant
from asyncdb_bench.text import counted, number
from asyncdb_bench.text import ratio as as_ratio

AXES = ("rtt_ms", "queries", "ms", "rows")
UNITS = {
    "rtt_ms": "ms of round trip",
    "queries": "queries",
    "ms": "ms a query",
    "rows": "rows",
}
TITLES = {
    "rtt_ms": "round trip to the database, ms",
    "queries": "queries a request",
    "ms": "time of a query, ms",
    "rows": "rows returned",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Parameters
    ----------
    case : its place, the round trip as it was asked for.
    measured_ms : the round trip that there was; 0: not measured.
    paces : by variant, 1/s.
    beside_base : each variant beside the base.
    best : the variant with the best pace, and those that are the same or not told from it.
    known : whether it is known of all others that they are slower, or the same.
    """

    case: Case
    measured_ms: float
    paces: Mapping[str, float]
    beside_base: Mapping[str, Answer]
    best: tuple[str, ...]
    known: bool

    @property
    def leader(self) -> str:
        """The variant with the best pace."""
        return self.best[0]


@dataclass(frozen=True, slots=True)
class PaceMap:
    """The cells, what follows from them, and what the model makes of them.

    Parameters
    ----------
    cells : that were measured.
    base : the variant that the others stand beside: the one that leads most often.
    names : of all variants, in the order of the run.
    sentences : the borders.
    model : fitted to the cells; None: there are too few.
    missing : cells that were planned and not reached.
    """

    cells: tuple[Cell, ...]
    base: str
    names: tuple[str, ...]
    sentences: tuple[str, ...]
    model: Fit | None
    missing: int = 0

    def values(self, axis: str) -> list[float]:
        """Return the values of an axis, ascending."""
        return sorted({getattr(cell.case, axis) for cell in self.cells})

    @property
    def shown(self) -> tuple[str, str, str]:
        """Which axes are a page's panels, columns and rows."""
        return shown_axes(self.cells)

    def between(self) -> list[tuple[Case, dict[str, tuple[float, float] | None]]]:
        """Return what the model says of cases between the cells.

        Returns
        -------
        Cases half-way between round trips and numbers of queries, with each variant's pace, 1/s,
        and the error to expect; None: it cannot be told.
        """
        model = self.model
        if model is None:
            return []
        cases = [
            Case(rtt_ms, queries, ms)
            for ms in self.values("ms")
            for rtt_ms in _halfway(self.values("rtt_ms"))
            for queries in map(round, _halfway(self.values("queries")))
        ]
        return [(case, {name: model.answer(name, case) for name in model.ways}) for case in cases]

    def at(self, place: Mapping[str, float]) -> Cell | None:
        """Return the cell at a place, given by axis; axes that are not named do not matter."""
        return next(
            (
                cell
                for cell in self.cells
                if all(getattr(cell.case, axis) == value for axis, value in place.items())
            ),
            None,
        )


def shown_axes(cells: Sequence[Cell]) -> tuple[str, str, str]:
    """Return which axes are a page's panels, columns and rows."""
    if len({cell.case.rows for cell in cells}) > 1:
        return "rtt_ms", "ms", "rows"
    return "ms", "rtt_ms", "queries"


def make_pace_map(
    scenarios: Sequence[PlannedScenario],
    comparisons: Sequence[Comparison],
    variants: Sequence[Variant],
    settings: Settings,
) -> PaceMap | None:
    """Return the map; None where no scenario is a cell of one.

    Parameters
    ----------
    scenarios, comparisons : of the run, in the same order.
    variants, settings : of the run.
    """
    places = [
        (each, comparison)
        for each, comparison in zip(scenarios, comparisons, strict=True)
        if each.place
    ]
    found = [(each, comparison) for each, comparison in places if comparison.findings.leader]
    if not found or not all(each.aside for each in scenarios):
        # cells beside scenarios are there for the model alone
        return None
    leads = Counter(comparison.findings.leader for _, comparison in found)
    base = leads.most_common(1)[0][0]
    cells = tuple(_cell(each, comparison, base, settings) for each, comparison in found)
    names = tuple(each.label for each in variants if any(each.label in c.paces for c in cells))
    return PaceMap(
        cells,
        base,
        names,
        tuple(map_sentences(cells, base, names)),
        _model(cells, variants, settings.connections),
        len(places) - len(found),
    )


def case_of(asked: PlannedScenario) -> Case:
    """Return a cell's place, the round trip as it was asked for."""
    place = asked.place
    return Case(
        asked.reach.rtt_ms, place.get("queries", 1), place.get("ms", 0), place.get("rows", 1)
    )


def _cell(asked: PlannedScenario, comparison: Comparison, base: str, settings: Settings) -> Cell:
    found = comparison.findings
    table = found.tables[PACE.name]
    open_ = [each.other for each in found.beside if each.said in (Said.SAME, Said.UNKNOWN)]
    return Cell(
        case=case_of(asked),
        measured_ms=measured_ms(comparison.round_trips, "database"),
        paces=dict(table.values),
        beside_base={
            name: table.answer(base, name, settings.equal, settings.half_width)
            for name in table.values
            if name != base and base in table.values
        },
        best=(found.leader, *open_),
        known=all(each.said is not Said.UNKNOWN for each in found.beside),
    )


def _model(cells: Sequence[Cell], variants: Sequence[Variant], connections: int) -> Fit | None:
    """Fit the model; what was measured of a round trip counts, not what was asked for."""
    if len({cell.case.rows for cell in cells}) > 1:
        # it knows of no time that rows take
        return None
    real = {}
    for asked_ms in {cell.case.rtt_ms for cell in cells}:
        seen = sorted(c.measured_ms for c in cells if c.case.rtt_ms == asked_ms and c.measured_ms)
        real[asked_ms] = seen[len(seen) // 2] if seen else asked_ms
    paces = {
        variant.label: {
            Case(real[cell.case.rtt_ms], cell.case.queries, cell.case.ms): cell.paces[variant.label]
            for cell in cells
            if variant.label in cell.paces
        }
        for variant in variants
    }
    at_once = {each.label: min(each.limits.values(), default=connections) for each in variants}
    return fit({name: each for name, each in paces.items() if each}, at_once, connections)


def map_sentences(cells: Sequence[Cell], base: str, names: Sequence[str]) -> Iterator[str]:
    """Yield who leads along the rows of each panel and column, and where one overtakes another."""
    panel, column, row = shown_axes(cells)
    for at_panel in sorted({getattr(cell.case, panel) for cell in cells}):
        for at_column in sorted({getattr(cell.case, column) for cell in cells}):
            line = [
                cell
                for cell in cells
                if (getattr(cell.case, panel), getattr(cell.case, column)) == (at_panel, at_column)
            ]
            if line:
                ordered = sorted(line, key=lambda cell: float(getattr(cell.case, row)))
                yield _line_sentence(ordered, base, names, row)
    yield from borders(cells)


def _line_sentence(line: Sequence[Cell], base: str, names: Sequence[str], row: str) -> str:
    """Say along one line of cells how the others stand beside the base."""
    case = line[0].case
    parts = []
    for name in names:
        known = [
            each.ratio.ratio
            for cell in line
            if (each := cell.beside_base.get(name)) is not None and each.ratio is not None
        ]
        if known:
            parts.append(f"{name} {_course(known)}")
    first = _value_words(row, getattr(case, row))
    counts = ", ".join(f"{getattr(cell.case, row):g}" for cell in line)
    what = "queries a request" if row == "queries" else "rows"
    return (
        f"{_value_words('ms', case.ms)}, {_value_words('rtt_ms', case.rtt_ms)}: beside {base}"
        f" ({number(line[0].paces.get(base))}/s with {first}), with {counts} {what}:"
        f" {'; '.join(parts)}"
    )


def _course(ratios: Sequence[float]) -> str:
    if max(ratios) / min(ratios) < SAME_THROUGHOUT:
        throughout = " throughout" if len(ratios) > 1 else ""
        return f"{as_ratio(ratios[0])} x{throughout}"
    return ", ".join(as_ratio(ratio) for ratio in ratios) + " x"


SAME_THROUGHOUT = 1.08


def borders(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield where the lead passes from one variant to another along an axis, each line once.

    The lead passes where one variant is known to be slower than the other before, and faster
    after. The crossing is where the straight line through the logarithms of the two ratios passes
    1.
    """
    for axis in AXES:
        rest = [each for each in AXES if each != axis]
        lines: dict[tuple[float, ...], list[Cell]] = {}
        for cell in cells:
            key = tuple(getattr(cell.case, each) for each in rest)
            lines.setdefault(key, []).append(cell)
        for key, line in lines.items():
            ordered = sorted(line, key=lambda cell: float(getattr(cell.case, axis)))
            for before, after in pairwise(ordered):
                found = _crossing(before, after, axis)
                if found is not None:
                    varying = {
                        name: value
                        for name, value in zip(rest, key, strict=True)
                        if len({getattr(cell.case, name) for cell in cells}) > 1
                    }
                    where = ", ".join(_value_words(n, v) for n, v in varying.items()) or "here"
                    low, high = getattr(before.case, axis), getattr(after.case, axis)
                    yield (
                        f"{where}: below about {found:.2g} {UNITS[axis]} (between {low:g} and"
                        f" {high:g}) {before.leader} is faster than {after.leader}, above it slower"
                    )


def _crossing(before: Cell, after: Cell, axis: str) -> float | None:
    one, other = before.leader, after.leader
    if one == other or other in before.best or one in after.best:
        return None
    if not all(name in cell.paces for name in (one, other) for cell in (before, after)):
        return None
    ahead, behind = (math.log(cell.paces[one] / cell.paces[other]) for cell in (before, after))
    low, high = (float(getattr(cell.case, axis)) for cell in (before, after))
    return low + ahead / (ahead - behind) * (high - low)


def _value_words(axis: str, value: float) -> str:
    if axis == "rtt_ms":
        return f"{value:g} ms away" if value else "on loopback"
    if axis == "queries":
        return counted(int(value), "query", "queries")
    if axis == "rows":
        return counted(int(value), "row")
    return f"queries of {value:g} ms" if value else "fast queries"


def _halfway(values: Sequence[float]) -> list[float]:
    return [(low + high) / 2 for low, high in pairwise(values)]


def how_sure(cell: Cell) -> str:
    """Say how sure a cell's ratios are: the widest interval of those beside the base."""
    widths = [
        each.ratio.half_width
        for each in cell.beside_base.values()
        if each.ratio is not None and each.ratio.known
    ]
    if not widths:
        return "not known"
    return f"± {math.expm1(max(widths)):.0%}"


def best_words(cell: Cell, most: int = 3) -> str:
    """Return the leaders of a cell: the best, and those not distinguished from it."""
    return " = ".join(cell.best[:most]) + (" = …" if len(cell.best) > most else "")
