"""The map of the real world: round trip x queries of a request x time of a query. Pure.

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
from asyncdb_bench.analysis.distance import measured_ms
from asyncdb_bench.analysis.pace_model import Case, Fit, fit
from asyncdb_bench.analysis.turns.answers import Answer, Said, answer
from asyncdb_bench.analysis.turns.values import PACE
from asyncdb_bench.records.plan import PlannedScenario, Settings, Variant
from asyncdb_bench.text import counted, number
from asyncdb_bench.text import ratio as as_ratio

AXES = ("rtt_ms", "queries", "ms")


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
class RoundTripMap:
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

    def at(self, rtt_ms: float, queries: float, ms: float) -> Cell | None:
        """Return the cell at a place."""
        wanted = Case(rtt_ms, queries, ms)
        return next((cell for cell in self.cells if cell.case == wanted), None)


def make_round_trip_map(
    scenarios: Sequence[PlannedScenario],
    comparisons: Sequence[Comparison],
    variants: Sequence[Variant],
    settings: Settings,
) -> RoundTripMap | None:
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
    found = [(each, c) for each, c in places if c.turns is not None and c.turns.leader]
    if not found or not all(each.aside for each in scenarios):
        # cells beside scenarios are there for the model alone
        return None
    leads = Counter(c.turns.leader for _, c in found if c.turns is not None)
    base = leads.most_common(1)[0][0]
    cells = tuple(_cell(each, comparison, base, settings) for each, comparison in found)
    names = tuple(each.label for each in variants if any(each.label in c.paces for c in cells))
    return RoundTripMap(
        cells,
        base,
        names,
        tuple(map_sentences(cells, base, names)),
        _model(cells, variants, settings.connections),
        len(places) - len(found),
    )


def _cell(asked: PlannedScenario, comparison: Comparison, base: str, settings: Settings) -> Cell:
    found = comparison.turns
    assert found is not None
    table = found.tables[PACE.name]
    beside = found.answers[PACE.name]
    # with one block nothing is told, and the leader stands for what it seems
    told = [each for each in beside if each.ratio is not None and each.ratio.known]
    best = [each.other for each in told if each.said in (Said.SAME, Said.UNKNOWN)]
    return Cell(
        case=Case(asked.reach.rtt_ms, asked.place["queries"], asked.place["ms"]),
        measured_ms=measured_ms(comparison.round_trips, "database"),
        paces=dict(table.values),
        beside_base={
            name: answer(table, base, name, settings.equal, settings.half_width)
            for name in table.values
            if name != base and base in table.values
        },
        best=(found.leader, *best),
        known=all(each.said is not Said.UNKNOWN for each in beside),
    )


def _model(cells: Sequence[Cell], variants: Sequence[Variant], connections: int) -> Fit | None:
    """Fit the model; what was measured of a round trip counts, not what was asked for."""
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
    """Yield who leads, by round trip and time of a query, and where one overtakes another."""
    for ms in sorted({cell.case.ms for cell in cells}):
        for rtt_ms in sorted({cell.case.rtt_ms for cell in cells}):
            line = [c for c in cells if (c.case.ms, c.case.rtt_ms) == (ms, rtt_ms)]
            if line:
                yield _line_sentence(sorted(line, key=lambda c: c.case.queries), base, names)
    yield from borders(cells)


def _line_sentence(line: Sequence[Cell], base: str, names: Sequence[str]) -> str:
    """Say for one round trip and time of a query how the others stand beside the base."""
    case = line[0].case
    query = "fast queries" if not case.ms else f"queries of {case.ms:g} ms"
    where = "on loopback" if not case.rtt_ms else f"{case.rtt_ms:g} ms away"
    parts = []
    for name in names:
        known = [
            (cell.case.queries, each.ratio.ratio)
            for cell in line
            if (each := cell.beside_base.get(name)) is not None and each.ratio is not None
        ]
        if known:
            parts.append(f"{name} {_course(known)}")
    counts = ", ".join(f"{cell.case.queries:g}" for cell in line)
    return (
        f"{query}, {where}: beside {base} ({number(line[0].paces.get(base))}/s with"
        f" {counted(int(line[0].case.queries), 'query', 'queries')}), with {counts} a request:"
        f" {'; '.join(parts)}"
    )


def _course(known: Sequence[tuple[float, float]]) -> str:
    ratios = [ratio for _, ratio in known]
    if max(ratios) / min(ratios) < SAME_THROUGHOUT:
        return (
            f"{as_ratio(ratios[0])} x throughout" if len(ratios) > 1 else f"{as_ratio(ratios[0])} x"
        )
    return ", ".join(as_ratio(ratio) for ratio in ratios) + " x"


SAME_THROUGHOUT = 1.08


def borders(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield where the lead passes from one variant to another along an axis, each line once.

    The lead passes where one variant is known to be slower than the other before, and faster
    after. The crossing is where the straight line through the logarithms of the two ratios passes
    1.
    """
    for axis, unit in (
        ("rtt_ms", "ms of round trip"),
        ("queries", "queries"),
        ("ms", "ms a query"),
    ):
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
                    where = _where(dict(zip(rest, key, strict=True)))
                    low, high = getattr(before.case, axis), getattr(after.case, axis)
                    yield (
                        f"{where}: below about {found:.2g} {unit} (between {low:g} and {high:g})"
                        f" {before.leader} is faster than {after.leader}, above it slower"
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


def _where(fixed: Mapping[str, float]) -> str:
    words = {
        "rtt_ms": lambda v: "on loopback" if not v else f"{v:g} ms away",
        "queries": lambda v: counted(int(v), "query", "queries"),
        "ms": lambda v: "fast" if not v else f"of {v:g} ms",
    }
    return ", ".join(words[axis](value) for axis, value in fixed.items())


def _halfway(values: Sequence[float]) -> list[float]:
    return [(low + high) / 2 for low, high in pairwise(values)]
