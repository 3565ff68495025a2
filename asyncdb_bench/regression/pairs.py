"""What the gate decides on: head against base, by strategy and scenario. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from asyncdb_bench.analysis.findings import ScenarioFindings, findings_of
from asyncdb_bench.analysis.inference import (
    CAPACITY,
    CPU,
    FREEZE,
    P50,
    P95,
    PACE,
    Metric,
    Prior,
    Ratio,
    Slack,
    combined_cells,
    ratio_of,
)
from asyncdb_bench.analysis.metric_table import Table
from asyncdb_bench.records.atomic_files import Seen
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import PlannedScenario, Settings, Variant
from asyncdb_bench.records.step import Step
from asyncdb_bench.regression.decision import NOTHING, Decision, Judged, Rules, judge

GATED = (PACE, P50, P95, FREEZE, CPU)
"""What is decided of scenarios in turns; the p99 is shown by reports, and decides nothing: it rests
on the slowest few requests."""
CLIMBED = (CAPACITY, P50, P95, FREEZE, CPU)
"""What is decided of scenarios that climb a ladder."""
OF_NO_LOAD = (PACE, CAPACITY)
FREEZE_MATTERS_MS = 10.0
"""Added to loop freezes before their ratio is taken: 2 ms instead of 1 ms breaks no build."""


@dataclass(slots=True)
class Pair:
    """One strategy in one scenario: head against base.

    Parameters
    ----------
    strategy : what people call it.
    scenario : to ask.
    base : labels of base's copies; empty where base could not be made.
    head : label of head.
    climbs : whether it climbs a ladder instead of taking turns at full speed.
    rounds : that it has had.
    analysed : how many analyses there were.
    decisions : what was decided last, by metric name.
    doubt : why nothing can be decided.
    """

    strategy: str
    scenario: PlannedScenario
    base: tuple[str, ...]
    head: str
    climbs: bool = False
    rounds: int = 0
    analysed: int = 0
    decisions: dict[str, Decision] = field(default_factory=dict)
    doubt: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Of all that has a turn in a round."""
        return (*self.base, self.head)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is decided."""
        return CLIMBED if self.climbs else GATED

    @property
    def is_open(self) -> bool:
        """Whether more rounds could decide something."""
        settled = [each.judged.settled for each in self.decisions.values()]
        return not self.doubt and bool(self.base) and not (settled and all(settled))

    @property
    def suspected(self) -> bool:
        """Whether a figure of it looks worse."""
        return any(each.judged.said == "worse" for each in self.decisions.values())


@dataclass(frozen=True, slots=True)
class Measured:
    """What a pair's turns come to.

    Parameters
    ----------
    found : of its variants alone.
    pair : whose.
    """

    found: ScenarioFindings
    pair: Pair

    @classmethod
    def of(
        cls,
        pair: Pair,
        steps: Sequence[Step],
        variants: Mapping[str, Variant],
        settings: Settings,
        seen: Seen,
    ) -> Measured:
        """Return what a pair's turns come to.

        Parameters
        ----------
        pair : which.
        steps : of any scenario and variant.
        variants : of the run, by label.
        settings, seen : as :func:`findings_of`.
        """
        label = pair.scenario.label
        own = [each for each in steps if each.scenario == label and each.variant in pair.labels]
        known = [variants[each] for each in pair.labels]
        return cls(findings_of(own, known, settings, pair.scenario.objective.p99_ms, seen), pair)

    def ratio(self, metric: Metric) -> Ratio | None:
        """Return the ratio of head to base, its copies taken together; None: there is none.

        Where base is known to differ from itself, half of that may be in the ratio.
        """
        table = self.found.tables[metric.name]
        if metric is FREEZE:
            table = table.with_floor(FREEZE_MATTERS_MS)
        copies = [label for label in self.pair.base if label in table.cells]
        if not copies or self.pair.head not in table.cells:
            return None
        prior = table.prior(copies[0])
        both = (
            Prior(prior.sd / math.sqrt(len(copies)), prior.freedom),
            table.prior(self.pair.head),
        )
        base = combined_cells([table.cells[label] for label in copies])
        slack = self._slack(table, copies)
        spread = table.spread_of(*self.pair.labels)
        found = ratio_of(base, table.cells[self.pair.head], spread, 2, both, slack)
        if found is None or not metric.grain:
            return found
        return replace(found, error=math.hypot(found.error, math.sqrt(1.5) * metric.grain))

    def _slack(self, table: Table, copies: Sequence[str]) -> Slack:
        mine = table.slack.get(self.pair.head, Slack())
        theirs = [table.slack.get(label, Slack()) for label in copies]
        most = Slack(
            max(each.down for each in theirs),
            max(each.up for each in theirs),
            any(each.doubt for each in theirs),
        )
        found, differs = mine.over(most), 0.0
        if len(copies) > 1:
            itself = table.ratio(copies[0], copies[1])
            if itself is not None and itself.known:
                low, high = itself.log_bounds
                differs = abs(itself.centre) / 2 if low > 0 or high < 0 else 0.0
        return Slack(found.down + differs, found.up + differs, found.doubt or differs > 0)

    def values(self, metric: Metric) -> tuple[float | None, float | None]:
        """Return the figures of base, the geometric mean of its copies, and of head."""
        values = self.found.tables[metric.name].values
        base = [values[label] for label in self.pair.base if values.get(label, 0) > 0]
        mean = math.exp(sum(map(math.log, base)) / len(base)) if base else None
        return mean, values.get(self.pair.head)

    def load(self, metric: Metric) -> float | None:
        """Return the load that a figure is of, 1/s; None: of none."""
        of_none = metric in OF_NO_LOAD or (metric is CPU and not self.pair.climbs)
        return None if of_none else self.found.common_rps


def decide_pair(pair: Pair, measured: Measured, rules: Rules, *, final: bool) -> None:
    """Analyse every figure of a pair that is not settled, and note what the analysis says.

    Parameters
    ----------
    pair : its decisions are replaced.
    measured : what its turns come to so far, those of confirmations aside.
    rules : how to decide.
    final : no more rounds will come.
    """
    alpha = rules.alpha_at(pair.analysed, final=final)
    pair.analysed += 1
    for metric in pair.metrics:
        before = pair.decisions.get(metric.name)
        if before is not None and before.judged.settled:
            continue
        judged = judge(metric, measured.ratio(metric), rules, alpha, final=final)
        base, head = measured.values(metric)
        lacking = _lacking(pair, metric) if final and not judged.rounds else None
        pair.decisions[metric.name] = Decision(
            pair.scenario.label,
            pair.strategy,
            metric,
            measured.load(metric),
            base,
            head,
            judged if judged.rounds else replace(NOTHING, settled=final),
            doubt=lacking,
        )


def _lacking(pair: Pair, metric: Metric) -> Doubt:
    if pair.doubt:
        return Doubt(DoubtKind.NOT_MEASURED, subject=pair.doubt)
    what = "capacity" if metric is CAPACITY else "turn at the common load"
    if metric is PACE or (metric is CPU and not pair.climbs):
        what = "turn at full speed"
    return Doubt(DoubtKind.NO_ROUND, pair.rounds, subject=what)


def undecided(pair: Pair, metric: Metric, why: str) -> Decision:
    """Return the decision on a figure of which nothing was measured."""
    doubt = Doubt(DoubtKind.NOT_MEASURED, subject=why)
    nothing = Judged(NOTHING.said, settled=True)
    return Decision(
        pair.scenario.label, pair.strategy, metric, None, None, None, nothing, doubt=doubt
    )


def pairs_of(
    heads: Sequence[tuple[str, Variant]],
    bases: Sequence[Sequence[Variant]],
    scenarios: Sequence[PlannedScenario],
) -> list[Pair]:
    """Return what a gate decides: each strategy in each scenario.

    Parameters
    ----------
    heads : name and head of each strategy.
    bases : the copies of each strategy's base; none where it could not be made.
    scenarios : asked of all.
    """
    return [
        Pair(name, scenario, tuple(each.label for each in base), head.label)
        for scenario in scenarios
        for (name, head), base in zip(heads, bases, strict=True)
    ]
