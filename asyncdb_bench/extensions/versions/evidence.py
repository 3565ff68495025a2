"""What the runs of a walk have shown of each release: all rounds of all of them together. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.inference import CPU, FREEZE, P99, PACE, Cells, Metric, Ratio, Slack
from asyncdb_bench.analysis.metric_table import Answer, Table
from asyncdb_bench.extensions.versions.walk import Look, Walk
from asyncdb_bench.records.files import Seen
from asyncdb_bench.records.plan import Variant

SHOWN = (PACE, P99, FREEZE, CPU)
"""Figures of each release beside the newest."""
LAUNCHES = 1000
"""A launch's number is that of its run times this, and its own."""
EQUAL = 0.05
"""Ratio - 1 within which two releases are the same."""
AGREES = 0.90
"""Two-sided confidence of a run that is to agree with those before: 95 % to one side."""


@dataclass
class Pooled:
    """One figure of all releases over several runs."""

    metric: Metric
    cells: dict[str, dict[int, Mapping[int, float]]] = field(default_factory=dict)
    slack: dict[str, Slack] = field(default_factory=dict)
    brokers: Mapping[str, bool] = field(default_factory=dict)
    seen: Seen = field(default_factory=dict)
    latest: Table | None = None

    def add(self, run: int, found: Table) -> None:
        """Add what a run has shown."""
        for label, cells in found.cells.items():
            own = self.cells.setdefault(label, {})
            own |= {run * LAUNCHES + launch: rounds for launch, rounds in cells.items()}
            here, before = found.slack.get(label, Slack()), self.slack.get(label, Slack())
            self.slack[label] = Slack(
                max(here.down, before.down), max(here.up, before.up), here.doubt or before.doubt
            )
        self.brokers = {**self.brokers, **found.brokers}
        self.seen = found.seen

    def table(self, labels: list[str]) -> Table:
        """Return the figure of some releases."""
        cells: dict[str, Cells] = {name: self.cells[name] for name in labels if name in self.cells}
        return Table(self.metric, cells, self.slack, self.brokers, self.seen)


class Line:
    """One strategy in one scenario over the releases.

    Parameters
    ----------
    strategy, scenario : as they were asked for, and the scenario's label.
    labels : of the variants, in the order of the releases.
    """

    def __init__(self, strategy: str, scenario: str, labels: list[str]) -> None:
        self.strategy = strategy
        self.scenario = scenario
        self.labels = labels
        self.reasons: dict[int, str] = {}
        self.walk = Walk(len(labels), self.look)
        self._pooled = {metric.name: Pooled(metric) for metric in SHOWN}
        self._by_run: dict[int, Table] = {}
        self._tables: dict[str, Table] = {}

    def add(self, run: int, found: Comparison) -> None:
        """Take note of what a run, by its number, has shown in this scenario."""
        self._tables.clear()
        tables = found.findings.tables
        for name, pooled in self._pooled.items():
            pooled.add(run, tables[name])
        self._by_run[run] = tables[PACE.name]
        known = {place for place, label in enumerate(self.labels) if label in found.not_run}
        self.leave_out({place: found.not_run[self.labels[place]] for place in known})
        cells = tables[PACE.name].cells
        self.walk.note([p for p, label in enumerate(self.labels) if cells.get(label)], known)

    def leave_out(self, reasons: Mapping[int, str]) -> None:
        """Take note of releases that do not run, and why."""
        self.reasons |= reasons
        self.walk.note((), reasons)

    def look(self, older: int, newer: int) -> Look:
        """Return what is known of two releases by their pace."""
        answer = self.answer(PACE, older, newer)
        one, other = self.labels[older], self.labels[newer]
        runs = [n for n, t in self._by_run.items() if t.cells.get(one) and t.cells.get(other)]
        if answer.ratio is None or not runs:
            return Look(answer.said, 0)
        alone = self._by_run[max(runs)].ratio(one, other)
        return Look(answer.said, len(runs), agrees(answer.ratio, alone))

    def answer(self, metric: Metric, older: int, newer: int) -> Answer:
        """Return what is said of the newer release beside the older one."""
        table = self._table(metric.name)
        return table.answer(self.labels[older], self.labels[newer], EQUAL, EQUAL)

    def _table(self, metric: str) -> Table:
        if metric not in self._tables:
            self._tables[metric] = self._pooled[metric].table(self.labels)
        return self._tables[metric]


def agrees(all_runs: Ratio, alone: Ratio | None) -> bool:
    """Return whether one run alone points the same way as all together.

    Parameters
    ----------
    all_runs : the ratio by all.
    alone : by that run; None: it has none.
    """
    if alone is None or not alone.known:
        return False
    low, high = statistics.t_bounds(alone.centre, alone.error, alone.freedom, AGREES)
    return low > 0 if all_runs.centre > 0 else high < 0


def label_of(request: str, package: str, release: str) -> str:
    """Return the request for a strategy with a release: ``native@asyncpg==0.29.0:pool=4``."""
    name, colon, knobs = request.partition(":")
    if name.endswith(".py"):
        cls, colon, knobs = knobs.partition(":")
        name = f"{name}:{cls}"
    return f"{name}@{package}=={release}{colon}{knobs}"


def labels_not_run(variants: tuple[Variant, ...]) -> dict[str, str]:
    """Return why variants cannot be run, by label."""
    return {each.label: each.not_run for each in variants if each.not_run}
