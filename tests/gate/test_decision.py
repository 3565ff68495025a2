"""The gate's decision: by simulated gates whose truth is known, and at its edges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import scipy.stats

from asyncdb_bench.analysis.inference import P50, PACE, Prior, Ratio, Said, Slack, Spread, ratio_of
from asyncdb_bench.extensions.gate.decision import (
    Decision,
    GateResult,
    Judged,
    Rules,
    confirmed,
    confirms,
    judge,
    said_of_all,
)
from asyncdb_bench.extensions.gate.page import decision_words, gate_junit, gate_markdown
from asyncdb_bench.records.doubts import Doubt, DoubtKind

RULES = Rules()
LAUNCH = Prior(0.01, 20.0)
GATES = 300
CERTAIN = Slack()


def gate(effect: float, spread: float, rng: np.random.Generator) -> Judged:
    """Return what is said of a head whose latency is base's times an effect, at the last analysis.

    Launches stray as their prior says, rounds by a spread; base is the mean of two copies. What is
    suspected is confirmed in a fresh launch.
    """
    analyses = RULES.rounds
    judged = Judged(Said.UNKNOWN)
    base, head = cells(effect, spread, analyses[-1], RULES.launches, rng)
    for place, rounds in enumerate(analyses):
        final = place == len(analyses) - 1
        judged = judge(
            P50,
            ratio(first(base, rounds), first(head, rounds)),
            RULES,
            RULES.alpha_at(place, final=final),
            final=final,
        )
        if judged.settled:
            break
    if judged.said is not Said.WORSE:
        return judged
    again = ratio(*cells(effect, spread, judged.rounds, 1, rng))
    decision = Decision("read", "native", P50, None, 1.0, 1.0, judged)
    return confirmed(decision, again, RULES).judged


Made = dict[int, dict[int, float]]


def cells(
    effect: float, spread: float, rounds: int, launches: int, rng: np.random.Generator
) -> tuple[Made, Made]:
    """Return values of base's mean and of head by launch and round."""
    base: Made = {}
    head: Made = {}
    for number in range(rounds):
        launch = number * launches // rounds
        for one, by, divisor in ((base, 1.0, math.sqrt(2)), (head, effect, 1.0)):
            if launch not in one:
                one[launch] = {-1: by * math.exp(rng.normal(0, LAUNCH.sd / divisor))}
            here = one[launch]
            here[number] = here[-1] * math.exp(rng.normal(0, spread / divisor))
    for one in (base, head):
        for each in one.values():
            del each[-1]
    return base, head


def first(values: Made, rounds: int) -> Made:
    """Return the values of the first rounds."""
    kept = {
        launch: {number: value for number, value in own.items() if number < rounds}
        for launch, own in values.items()
    }
    return {launch: own for launch, own in kept.items() if own}


def ratio(base: Made, head: Made) -> Ratio | None:
    both = (replace(LAUNCH, sd=LAUNCH.sd / math.sqrt(2)), LAUNCH)
    return ratio_of(base, head, Spread(), 2, both)


def said_by(effect: float, spread: float, count: int = GATES) -> dict[Said, float]:
    """Return how often each is said, as a share of so many gates."""
    rng = np.random.default_rng(5)
    found = [gate(effect, spread, rng).said for _ in range(count)]
    return {said: found.count(said) / count for said in Said}


@pytest.mark.parametrize("spread", [0.02, 0.10])
def test_a_gate_without_a_change_is_never_red(spread: float) -> None:
    said = said_by(1, spread)
    assert said[Said.WORSE] == 0
    assert said[Said.SAME] > 0.9


def test_at_a_change_of_just_the_threshold_red_gates_keep_to_alpha() -> None:
    red = said_by(1 + RULES.least, 0.04, 600)[Said.WORSE]
    assert red * 600 <= scipy.stats.binom.ppf(0.999, 600, RULES.alpha)


def test_a_change_that_matters_is_found_whichever_way_it_goes() -> None:
    assert said_by(1.12, 0.04)[Said.WORSE] > 0.95
    assert said_by(1 / 1.15, 0.04)[Said.BETTER] > 0.95


def test_noise_makes_a_gate_unknown_not_green() -> None:
    said = said_by(1.10, 1.0)
    assert said[Said.WORSE] < 0.1
    assert said[Said.UNKNOWN] > 0.6


def test_all_analyses_together_spend_alpha() -> None:
    levels = [RULES.alpha_at(place) for place in range(RULES.analyses)]
    assert sum(levels) == pytest.approx(RULES.alpha)
    cut_short = [*levels[:2], RULES.alpha_at(2, final=True)]
    assert sum(cut_short) == pytest.approx(RULES.alpha)


def exact(centre: float, error: float = 0.01, slack: Slack = CERTAIN) -> Ratio:
    return Ratio(centre, error, 100, 2, 2, 40, slack)


def test_what_is_in_doubt_is_no_regression_and_is_told_where_it_could_turn_the_answer() -> None:
    assert judge(P50, exact(0.2), RULES, 0.05, final=True).said is Said.WORSE
    doubted = judge(P50, exact(0.2, slack=Slack(0.18, 0.18, doubt=True)), RULES, 0.05, final=True)
    assert doubted.said is Said.UNSOUND
    assert doubted.slack == pytest.approx(math.expm1(0.18))
    small = judge(P50, exact(0.2, slack=Slack(0.02, 0.02, doubt=True)), RULES, 0.05, final=True)
    assert small.said is Said.WORSE


def test_a_pace_is_worse_where_it_is_less() -> None:
    worse = judge(PACE, exact(math.log(0.8)), RULES, 0.05, final=True)
    assert worse.said is Said.WORSE
    assert Decision("read", "native", PACE, None, 10, 8, worse).change == pytest.approx(-0.2)
    assert judge(PACE, exact(math.log(1.25)), RULES, 0.05, final=True).said is Said.BETTER


def test_without_an_interval_nothing_is_decided() -> None:
    assert judge(P50, None, RULES, 0.05, final=True) == Judged(Said.UNKNOWN, settled=True)
    one = judge(P50, ratio({0: {0: 1.0}}, {0: {0: 2.0}}), RULES, 0.05, final=True)
    assert (one.said, one.low, one.rounds, one.settled) == (Said.UNKNOWN, None, 1, True)


def test_a_fresh_launch_agrees_where_it_lies_beyond_the_threshold_too() -> None:
    assert confirms(P50, exact(0.2), RULES)
    assert not confirms(P50, exact(0.03), RULES)
    assert not confirms(P50, exact(0.2, error=0.3), RULES), "no bound above no change"
    assert not confirms(P50, None, RULES)
    assert confirms(PACE, exact(-0.2), RULES)


def test_the_worst_is_the_whole_gates() -> None:
    def whole(*said: Said) -> Said:
        return said_of_all(cell(each) for each in said)

    assert whole(Said.SAME, Said.BETTER) is Said.BETTER
    assert whole(Said.SAME, Said.UNKNOWN, Said.BETTER) is Said.UNKNOWN
    assert whole(Said.UNSOUND, Said.WORSE, Said.UNKNOWN) is Said.WORSE
    assert whole() is Said.UNSOUND


def cell(said: Said, **changes: Any) -> Decision:
    judged = Judged(said, 40, 2, 1.2, 1.1, 1.3, 0.05, settled=True)
    return replace(Decision("read", "native", P50, 200.0, 3.0, 3.6, judged), **changes)


def result(*cells: Decision) -> GateResult:
    notes = ("a note | <with> signs",)
    return GateResult("abc", "def", said_of_all(cells), cells, 2, 40, True, notes, RULES)


def test_a_red_gate_is_a_failed_case_and_an_unsure_one_is_skipped() -> None:
    odd = cell(
        Said.UNSOUND,
        strategy='<odd> & \x01"name"',
        doubt=Doubt(DoubtKind.NOT_MEASURED, subject="no turn\nat all"),
    )
    cells = (cell(Said.WORSE, confirmed=True), cell(Said.UNKNOWN), odd, cell(Said.SAME))
    suite = ET.fromstring(gate_junit(result(*cells))).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "2",
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "worse: +20%; a fresh launch agrees"


def test_what_was_not_confirmed_does_not_say_so_and_a_bound_has_the_figures_own_direction() -> None:
    assert decision_words(cell(Said.WORSE)) == "worse: +20%; nothing was measured to confirm it"
    judged = Judged(Said.UNKNOWN, 40, 2, 0.9, 0.8, 1.25)
    pace = cell(Said.UNKNOWN, metric=PACE, judged=judged)
    assert decision_words(pace) == "not known: between -20% and +25%; give it more time"


def test_markdown_says_verdict_change_and_note() -> None:
    text = gate_markdown(result(cell(Said.WORSE, confirmed=True)))
    assert text.startswith("## ❌ Performance gate: worse")
    assert "| +20 % (+10 % to +30 %) |" in text
    assert "40 rounds in 2 launches, and one more launch to confirm" in text
    assert "a note \\| &lt;with> signs" in text
