"""What a run's turns have shown so far: each variant beside the best of its scenario. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from asyncdb_bench.analysis.inference import PACE, Said
from asyncdb_bench.analysis.metric_table import Answer, Table, brokers_of
from asyncdb_bench.analysis.values import tells_pace
from asyncdb_bench.plan.profiles import climbs
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import Plan
from asyncdb_bench.records.step import Step
from asyncdb_bench.report.quantities import beside_text
from asyncdb_bench.text import number

FIRST = 0.5
"""Half-width, as a logarithm, below which an interval is a first answer."""
BEST, CARRIED = "best", "carried"


@dataclass(frozen=True, slots=True)
class Row:
    """One variant of a scenario.

    Parameters
    ----------
    variant : its label.
    rps : its pace, or of what climbs a ladder the highest load that it carried, 1/s.
    said : what is said of it, of the best that it is.
    answer : beside the best; None of the best itself, and of a ladder.
    """

    variant: str
    rps: float
    said: str
    answer: Answer | None = None


class LiveAnswers:
    """Notes each turn, and says what all of them come to.

    Parameters
    ----------
    plan : what is run.

    Attributes
    ----------
    seen : spreads of launches on this machine before, which intervals start from.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.seen: Seen = {}
        self._brokers = brokers_of(plan.variants)
        self._cells: dict[str, dict[str, dict[int, dict[int, float]]]] = defaultdict(dict)
        self._carried: dict[str, dict[str, float]] = defaultdict(dict)
        self._rows: dict[str, list[Row]] = {}
        self.climbed = {each.label for each in plan.scenarios if climbs(plan.settings, each)}
        self._overloaded = {each.label for each in plan.scenarios if each.overload is not None}

    def add(self, step: Step) -> None:
        """Take note of a turn; those of a launch that confirms are numbered like others."""
        if not step.valid or step.purpose != "measure":
            return
        if step.turn.kind == "pace" and tells_pace(step):
            cells = self._cells[step.scenario].setdefault(step.variant, {})
            cells.setdefault(step.block, {})[step.turn.round] = step.achieved_rps
            self._rows.pop(step.scenario, None)
        elif step.turn.kind == "rung" and step.holds:
            most = self._carried[step.scenario].get(step.variant, 0.0)
            self._carried[step.scenario][step.variant] = max(most, step.offered_rps)

    def rows(self, scenario: str) -> list[Row]:
        """Return a row for each variant that has been asked a scenario, the best first."""
        if scenario in self.climbed:
            carried = self._carried[scenario].items()
            return [Row(name, rps, CARRIED) for name, rps in sorted(carried, key=lambda e: -e[1])]
        if scenario not in self._rows:
            self._rows[scenario] = self._found(scenario)
        return self._rows[scenario]

    def _found(self, scenario: str) -> list[Row]:
        table = Table(PACE, self._cells[scenario], {}, self._brokers, self.seen)
        settings, best = self._plan.settings, table.best
        rows: list[Row] = []
        for name, pace in sorted(table.values.items(), key=lambda each: -each[1]):
            if name == best:
                rows.insert(0, Row(name, pace, BEST))
                continue
            answer = table.answer(best, name, settings.equal, settings.half_width)
            rows.append(Row(name, pace, str(answer.said), answer))
        return rows

    def rounds(self, scenario: str) -> int:
        """Return how many rounds a scenario has had."""
        cells = self._cells[scenario]
        return len({(b, r) for own in cells.values() for b, rounds in own.items() for r in rounds})

    def is_answered(self, scenario: str, variants: int) -> bool:
        """Return whether so many variants have an interval beside the best that says something."""
        rows = self.rows(scenario)
        return len(rows) >= max(variants, 2) and all(
            row.answer is None
            or (row.answer.ratio is not None and row.answer.ratio.half_width < FIRST)
            for row in rows
        )

    @property
    def open(self) -> int:
        """How many answers are not known."""
        unknown = str(Said.UNKNOWN)
        return sum(
            row.said == unknown
            for each in self._plan.scenarios
            if not each.aside
            for row in self.rows(each.label)
        )

    def line(self, scenario: str) -> str:
        """Return a scenario's answers in a line; empty: it has none."""
        rows = self.rows(scenario)
        if not rows:
            return ""
        does = "carried" if scenario in self.climbed else "does"
        told = [f"{row.variant} {beside_text(row.answer)}" for row in rows if row.answer]
        told += [f"{row.variant} {number(row.rps)}/s" for row in rows[1:] if row.said == CARRIED]
        # of an overload this is no answer: it is ranked by goodput, once it is over
        whole = f"pace before {scenario}" if scenario in self._overloaded else scenario
        return "; ".join([f"{whole}: {rows[0].variant} {does} {number(rows[0].rps)}/s", *told])
