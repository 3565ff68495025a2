"""The gate's decision on one figure: a policy over the one inference, while rounds come in. Pure.

Head is worse where its interval lies beyond the threshold, at the level of the analysis that says
so. Analyses follow rounds in a geometric sequence; what all of them may err together is shared out
among them (Bonferroni's inequality, as of an alpha spending function that is linear in the
analyses: Lan and DeMets, *Biometrika* 70, 1983). Base is measured twice: how it differs from itself
is carried as a doubt with a size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.inference import Metric, Ratio, Said, Slack, exp
from asyncdb_bench.records.doubts import Doubt

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


NOTHING = Judged(Said.UNKNOWN)


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
        return NOTHING
    worse = ratio.inverse if metric.more_is_better else ratio
    seen = replace(
        NOTHING,
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
    judged : the last analysis.
    confirmed : whether a fresh launch agreed; None: it was not asked.
    doubt : why nothing could be measured soundly; None where it could.
    """

    scenario: str
    strategy: str
    metric: Metric
    offered_rps: float | None
    base_value: float | None
    head_value: float | None
    judged: Judged
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
    """Return a suspected regression as a fresh launch leaves it."""
    if again is None or not again.known:
        return unconfirmed(decision)
    agreed = confirms(decision.metric, again, rules)
    said = Said.WORSE if agreed else Said.UNKNOWN
    return replace(decision, confirmed=agreed, judged=replace(decision.judged, said=said))


def unconfirmed(decision: Decision) -> Decision:
    """Return a suspected regression for which there was no time to confirm it."""
    return replace(decision, judged=replace(decision.judged, said=Said.UNKNOWN))


def said_of_all(decisions: Iterable[Decision]) -> Said:
    """Return what a whole gate says; *not sound* where nothing was decided."""
    found = {each.said for each in decisions}
    return next((each for each in ORDER if each in found), Said.UNSOUND)


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
