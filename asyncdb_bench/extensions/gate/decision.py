"""The gate's decisions: a policy over the one inference, while rounds come in. Pure.

Head is worse where its interval lies beyond the threshold, at the level of the analysis that says
so. Analyses follow rounds in a geometric sequence; what all of them may err together is shared out
among them (Bonferroni's inequality, as of an alpha spending function that is linear in the
analyses: Lan and DeMets, *Biometrika* 70, 1983). Base is measured twice: how it differs from itself
is carried as a doubt with a size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import geometric_mean

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.findings import ScenarioFindings
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
    Said,
    Slack,
    combined_cells,
    exp,
    ratio_of,
)
from asyncdb_bench.analysis.metric_table import Table
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import PlannedScenario, Variant

GATED = (PACE, P50, P95, FREEZE, CPU)
"""What is decided of scenarios in turns; the p99 is shown by reports, and decides nothing: it rests
on the slowest few requests."""
CLIMBED = (CAPACITY, P50, P95, FREEZE, CPU)
"""What is decided of scenarios that climb a ladder."""
FREEZE_MATTERS_MS = 10.0
"""Added to loop freezes before their ratio is taken: 2 ms instead of 1 ms breaks no build."""

ORDER = (Said.WORSE, Said.UNSOUND, Said.UNKNOWN, Said.BETTER, Said.SAME)
"""What a whole gate says: the first of these that any decision says."""
SURE_BETTER = 0.01
"""One-sided error of *better*: it is no alarm, and spends no alpha."""
SURE_SAME = 0.05
"""One-sided error of *the same*: how often something worse by the margin passes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the gate decides.

    Parameters
    ----------
    least : ratio - 1 from which on a change matters.
    alpha : one-sided false-alarm rate of a decision, over all analyses, at a change of `least`.
    detect : ratio - 1 that must be ruled out for *the same* where time is up.
    first, growth, analyses : the first follows so many rounds, each further one `growth` times as
        many, and there are so many at most.
    launches : in which rounds are had, at most.
    """

    least: float = 0.05
    alpha: float = 0.05
    detect: float = 0.10
    first: int = 12
    growth: float = 1.6
    analyses: int = 6
    launches: int = 4

    @property
    def rounds(self) -> tuple[int, ...]:
        """The numbers of rounds after which there is an analysis."""
        return tuple(round(self.first * self.growth**place) for place in range(self.analyses))

    def alpha_at(self, analysis: int, *, final: bool = False) -> float:
        """Return the one-sided level of an analysis, counted from 0; the final one has the rest."""
        each = self.alpha / self.analyses
        return self.alpha - min(analysis, self.analyses - 1) * each if final else each


@dataclass(frozen=True, slots=True)
class Judged:
    """What an analysis says; ratios above 1 mean that head is worse, whatever the figure.

    Parameters
    ----------
    said : of head beside base; *not known* while rounds may be added, too.
    rounds, launches : that it rests on; 0: there is no value.
    ratio, low, high : with the interval at the levels of this analysis; None: it is not known.
    slack : by how much base differs from itself, or the ratio is in doubt, as a ratio - 1.
    settled : whether more rounds would change nothing.
    """

    said: Said
    rounds: int = 0
    launches: int = 0
    ratio: float = math.nan
    low: float | None = None
    high: float | None = None
    slack: float = 0.0
    settled: bool = False


def judge(
    metric: Metric, ratio: Ratio | None, rules: Rules, alpha: float, *, final: bool
) -> Judged:
    """Say what a ratio of head to base means.

    Parameters
    ----------
    metric : of the ratio.
    ratio : None: there is none.
    rules : how to decide.
    alpha : one-sided level at which *worse* may be said.
    final : no more rounds will come.
    """
    if ratio is None:
        return Judged(Said.UNKNOWN, settled=final)
    worse = ratio.inverse if metric.more_is_better else ratio
    seen = Judged(
        Said.UNKNOWN,
        rounds=ratio.rounds,
        launches=ratio.launches,
        ratio=worse.ratio,
        slack=exp(max(worse.slack.down, worse.slack.up)) - 1,
        settled=final,
    )
    if not ratio.known:
        return seen
    low, _ = _bounds(worse, alpha)
    _, high = _bounds(worse, SURE_SAME)
    seen = replace(seen, low=exp(low), high=exp(high))
    said = _said(worse, rules, alpha, final=final)
    if worse.slack.doubt:
        without = _said(replace(worse, slack=Slack()), rules, alpha, final=final)
        if without is not said and without is not Said.UNKNOWN and final:
            # what is in doubt could turn it
            return replace(seen, said=Said.UNSOUND)
    return replace(seen, said=said, settled=final or said is not Said.UNKNOWN)


def _said(worse: Ratio, rules: Rules, alpha: float, *, final: bool) -> Said:
    least = math.log1p(rules.least)
    margin = math.log1p(rules.detect) if final else least
    if _bounds(worse, alpha)[0] > least:
        return Said.WORSE
    if _bounds(worse, SURE_BETTER)[1] < -least:
        return Said.BETTER
    if _bounds(worse, SURE_SAME)[1] < margin:
        return Said.SAME
    return Said.UNKNOWN


def _bounds(ratio: Ratio, alpha: float) -> tuple[float, float]:
    """Return the one-sided bounds at a level with the slack, as logarithms."""
    low, high = statistics.t_bounds(ratio.centre, ratio.error, ratio.freedom, 1 - 2 * alpha)
    return low - ratio.slack.down, high + ratio.slack.up


def confirms(metric: Metric, again: Ratio | None, rules: Rules) -> bool:
    """Return whether a fresh launch agrees with a suspected regression.

    It does where its mean lies beyond the threshold and its one-sided 95 % bound above no change.

    Parameters
    ----------
    metric : of the ratio.
    again : of the fresh launch alone; None: it has no value.
    rules : for the threshold.
    """
    if again is None or not again.known:
        return False
    worse = again.inverse if metric.more_is_better else again
    return worse.centre > math.log1p(rules.least) and _bounds(worse, SURE_SAME)[0] > 0


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on one figure of one strategy in one scenario.

    Parameters
    ----------
    scenario, strategy : labels.
    metric : what was decided on.
    offered_rps : at which load; None for what is of none.
    base_value, head_value : in the figure's unit; None: not measured.
    judged : the last analysis; by default that nothing was measured.
    confirmed : whether a fresh launch agreed; None: it was not asked.
    doubt : why nothing could be measured soundly; None where it could.
    """

    scenario: str
    strategy: str
    metric: Metric
    offered_rps: float | None = None
    base_value: float | None = None
    head_value: float | None = None
    judged: Judged = Judged(Said.UNKNOWN, settled=True)
    confirmed: bool | None = None
    doubt: Doubt | None = None

    @property
    def said(self) -> Said:
        """What is said of head beside base."""
        return Said.UNSOUND if self.doubt else self.judged.said

    @property
    def change(self) -> float | None:
        """Head / base - 1, in the figure's own direction; None where it is not known."""
        if not self.judged.rounds:
            return None
        ratio = self.judged.ratio
        return (1 / ratio if self.metric.more_is_better else ratio) - 1

    @property
    def change_interval(self) -> tuple[float, float] | None:
        """The bounds of :attr:`change`; None where there are none."""
        low, high = self.judged.low, self.judged.high
        if low is None or high is None:
            return None
        return (1 / high - 1, 1 / low - 1) if self.metric.more_is_better else (low - 1, high - 1)


def confirmed(decision: Decision, again: Ratio | None, rules: Rules) -> Decision:
    """Return a suspected regression as a fresh launch leaves it.

    Parameters
    ----------
    decision : what looks worse.
    again : of the fresh launch alone; None: there was no time for one, or it has no value.
    rules : for the threshold.
    """
    asked = again is not None and again.known
    agreed = confirms(decision.metric, again, rules)
    judged = replace(decision.judged, said=Said.WORSE if agreed else Said.UNKNOWN)
    return replace(decision, confirmed=agreed if asked else None, judged=judged)


def said_of_all(decisions: Iterable[Decision]) -> Said:
    """Return what a whole gate says; *not sound* where nothing was decided."""
    found = {each.said for each in decisions}
    return next((each for each in ORDER if each in found), Said.UNSOUND)


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
    rounds, taken : that it has had, and in this launch.
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
    taken: int = 0
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
        return not self.doubt and not (settled and all(settled))

    @property
    def rounds_of_suspicion(self) -> int:
        """How many rounds it took until a figure looked worse; 0: none does."""
        worse = [e for e in self.decisions.values() if e.judged.said is Said.WORSE]
        return max((each.judged.rounds for each in worse), default=0)


def ratio_of_pair(pair: Pair, found: ScenarioFindings, metric: Metric) -> Ratio | None:
    """Return the ratio of head to base, its copies taken together; None: there is none.

    Where base is known to differ from itself, half of that may be in the ratio.

    Parameters
    ----------
    pair : whose.
    found : of its variants alone.
    metric : which figure.
    """
    table = found.tables[metric.name]
    if metric is FREEZE:
        table = table.with_floor(FREEZE_MATTERS_MS)
    copies = [label for label in pair.base if label in table.cells]
    if not copies or pair.head not in table.cells:
        return None
    prior = table.prior(copies[0])
    both = (Prior(prior.sd / math.sqrt(len(copies)), prior.freedom), table.prior(pair.head))
    base = combined_cells([table.cells[label] for label in copies])
    slack = _slack(table, copies, pair.head)
    ratio = ratio_of(base, table.cells[pair.head], table.spread_of(*pair.labels), 2, both, slack)
    if ratio is None or not metric.grain:
        return ratio
    return replace(ratio, error=math.hypot(ratio.error, math.sqrt(1.5) * metric.grain))


def _slack(table: Table, copies: Sequence[str], head: str) -> Slack:
    theirs = [table.slack.get(label, Slack()) for label in copies]
    most = Slack(
        max(each.down for each in theirs),
        max(each.up for each in theirs),
        any(each.doubt for each in theirs),
    )
    found, differs = table.slack.get(head, Slack()).over(most), 0.0
    itself = table.ratio(copies[0], copies[1]) if len(copies) > 1 else None
    if itself is not None and itself.known:
        low, high = itself.log_bounds
        differs = abs(itself.centre) / 2 if low > 0 or high < 0 else 0.0
    return Slack(found.down + differs, found.up + differs, found.doubt or differs > 0)


def decide_pair(pair: Pair, found: ScenarioFindings, rules: Rules, *, final: bool) -> None:
    """Analyse every figure of a pair that is not settled, and note what the analysis says.

    Parameters
    ----------
    pair : its decisions are replaced.
    found : what its turns come to so far, those of confirmations aside.
    rules : how to decide.
    final : no more rounds will come.
    """
    alpha = rules.alpha_at(pair.analysed, final=final)
    pair.analysed += 1
    for metric in pair.metrics:
        before = pair.decisions.get(metric.name)
        if before is not None and before.judged.settled:
            continue
        at_load = bool(metric.quantile) or (metric is CPU and pair.climbs)
        values = found.tables[metric.name].values
        base = [values[label] for label in pair.base if values.get(label, 0) > 0]
        judged = judge(metric, ratio_of_pair(pair, found, metric), rules, alpha, final=final)
        lacking = None
        if final and not judged.rounds:
            alone = "capacity" if metric is CAPACITY else "turn at full speed"
            what = "turn at the common load" if at_load else alone
            lacking = Doubt(DoubtKind.NO_ROUND, pair.rounds, subject=what)
        pair.decisions[metric.name] = Decision(
            pair.scenario.label,
            pair.strategy,
            metric,
            found.common_rps if at_load else None,
            geometric_mean(base) if base else None,
            values.get(pair.head),
            judged,
            doubt=lacking,
        )


def pairs_of(
    sides: Sequence[tuple[str, Variant, Sequence[Variant]]],
    scenarios: Sequence[PlannedScenario],
    problem: str = "",
) -> list[Pair]:
    """Return what a gate decides: each strategy in each scenario.

    Parameters
    ----------
    sides : name, head and copies of base of each strategy; no copies where base cannot be made.
    scenarios : asked of all.
    problem : why a base cannot be made.
    """
    return [
        Pair(
            name,
            scenario,
            tuple(each.label for each in base),
            head.label,
            doubt="" if base else f"base cannot be made: {problem}",
        )
        for scenario in scenarios
        for name, head, base in sides
    ]


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate's decisions.

    Parameters
    ----------
    base, head : what was compared, in words.
    said : of the whole, see :func:`said_of_all`.
    decisions : one per scenario, strategy and figure.
    launches, rounds : that were had, those of confirmations aside; rounds of what had the most.
    confirming : whether a fresh launch was had of what was under suspicion.
    notes : what a reader should know.
    rules : how it was decided.
    """

    base: str
    head: str
    said: Said
    decisions: tuple[Decision, ...]
    launches: int
    rounds: int
    confirming: bool
    notes: tuple[str, ...]
    rules: Rules
