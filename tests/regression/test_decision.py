"""The gate's decision: by simulated gates whose truth is known, and at its edges."""

from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.regression.decision import (
    Decision,
    GateResult,
    Interim,
    LogRatios,
    Rules,
    alpha_at,
    confirms,
    estimate,
    interim,
    log_ratios,
    overall_verdict,
    replay,
    spent,
)
from asyncdb_bench.regression.effects import CAPACITY, GATED
from asyncdb_bench.regression.exports import gate_junit, gate_markdown

RULES = Rules()
P50 = GATED[1]
GATES = 600


def gates(effect: float, spread: float, count: int = GATES) -> list[Interim]:
    """Decide so many simulated gates, each with fresh blocks to confirm."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(count):
        noise = rng.normal(0, spread * math.sqrt(2 / 1.5), RULES.most)
        worse, again = rng.normal(math.log(effect), spread, (2, RULES.most))
        series = LogRatios(tuple(worse), tuple(noise))
        found.append(replay(series, RULES, LogRatios(tuple(again))))
    return found


def share(found: list[Interim], verdict: str) -> float:
    return sum(each.verdict == verdict for each in found) / len(found)


@pytest.mark.parametrize("spread", [0.01, 0.04, 0.10])
def test_a_gate_without_a_change_is_never_red(spread: float) -> None:
    assert share(gates(1, spread), "regress") == 0


def test_at_a_change_of_just_the_threshold_red_gates_keep_to_alpha() -> None:
    red = sum(each.verdict == "regress" for each in gates(1 + RULES.least, 0.02, 2000))
    assert red <= scipy.stats.binom.ppf(0.999, 2000, RULES.alpha)


def test_a_change_of_ten_percent_is_found_where_blocks_vary_by_three() -> None:
    assert share(gates(1.10, 0.025), "regress") >= 0.95


def test_a_change_for_the_better_is_told() -> None:
    assert share(gates(1 / 1.2, 0.03), "improve") >= 0.95


def test_noise_makes_a_gate_inconclusive_not_green() -> None:
    found = gates(1.10, 0.25)
    assert share(found, "regress") < 0.1
    assert share(found, "inconclusive") > 0.6
    told = next(each for each in found if each.verdict == "inconclusive")
    assert told.needed is None or told.needed > RULES.most


def test_quiet_gates_end_early() -> None:
    assert {each.n for each in gates(1, 0.01)} == {RULES.first}


@given(st.integers(4, 40), st.integers(1, 6))
def test_all_interim_analyses_together_spend_alpha(most: int, every: int) -> None:
    rules = Rules(most=most, every=every)
    assert sum(alpha_at(rules, blocks) for blocks in rules.analyses) == pytest.approx(rules.alpha)
    assert rules.analyses[-1] == most


def test_a_gate_cut_short_spends_what_is_left_at_its_last_analysis() -> None:
    analyses = [alpha_at(RULES, 4), alpha_at(RULES, 6), alpha_at(RULES, 7, final=True)]
    assert sum(analyses) == pytest.approx(RULES.alpha)
    assert alpha_at(RULES, 4, final=True) == pytest.approx(RULES.alpha)


def test_little_alpha_is_spent_early() -> None:
    assert spent(0.05, 0) == 0
    assert spent(0.05, 1) == pytest.approx(0.05)
    assert spent(0.05, 1 / 3) < 0.001


def test_what_the_a_a_shows_to_be_noise_is_no_regression() -> None:
    worse = (0.15, 0.16, 0.14, 0.15)
    assert interim(LogRatios(worse), RULES, 12).verdict == "regress"
    wild = interim(LogRatios(worse, (0.2, -0.25, 0.3, -0.2)), RULES, 12)
    assert wild.noise > 1.2
    assert wild.verdict != "regress"


def test_one_block_decides_nothing() -> None:
    seen = interim(LogRatios((0.5,)), RULES, 1, final=True)
    assert (seen.verdict, seen.low, seen.mde) == ("inconclusive", None, None)
    assert interim(LogRatios(()), RULES, 4).verdict == "invalid"


def test_a_suspicion_that_fresh_blocks_do_not_share_is_dropped() -> None:
    suspect = LogRatios((0.2,) * 3 + (0.21,) * 9)
    assert replay(suspect, RULES, LogRatios((0.19, 0.2, 0.21, 0.2) * 3)).verdict == "regress"
    assert replay(suspect, RULES, LogRatios((0.01, -0.02, 0.0, 0.01) * 3)).verdict == "inconclusive"
    assert not confirms(LogRatios((0.2,)), 1.05)
    assert not confirms(LogRatios((0.5, -0.3, 0.4, -0.2)), 1.05), "no bound above no change"


def test_the_estimate_is_the_blocks_mean_and_standard_error() -> None:
    logs = np.random.default_rng(1).normal(0.3, 0.02, 5)
    found = estimate(logs)
    known = scipy.stats.ttest_1samp(logs, 0)
    assert (found.freedom, found.centre / found.error) == pytest.approx((4, known.statistic))
    assert estimate([0.1]).n == 1


def test_capacity_is_worse_where_it_is_less() -> None:
    base, head = {1: 100.0, 2: 110.0, 9: 5.0}, {1: 80.0, 2: 88.0}
    series, ours, theirs = log_ratios(CAPACITY, [base, {1: 100.0}], head)
    assert series.worse == pytest.approx([math.log(1.25)] * 2)
    assert series.noise == pytest.approx([0.0])
    assert ours == pytest.approx([100, 110])
    assert theirs == [80, 88]


def test_the_worst_verdict_is_the_whole_gates() -> None:
    assert overall_verdict(["pass", "improve"]) == "improve"
    assert overall_verdict(["pass", "inconclusive", "improve"]) == "inconclusive"
    assert overall_verdict(["invalid", "regress", "inconclusive"]) == "regress"
    assert overall_verdict([]) == "invalid"


def cell(verdict: str, **changes: object) -> Decision:
    seen = Interim(verdict, 6, 1.2, 1.1, 1.3, 1.05, 1.02, 1.04, 5)
    made = Decision("read", "native", P50, 200.0, 3.0, 3.6, seen)
    return replace(made, **changes)  # type: ignore[arg-type]


def result(*cells: Decision) -> GateResult:
    verdict = overall_verdict(each.verdict for each in cells)
    return GateResult("abc", "def", verdict, cells, 6, 6, ("a note | <with> signs",), RULES)


def test_a_red_gate_is_a_failed_case_and_an_unsure_one_is_skipped() -> None:
    unsure = cell("inconclusive", strategy="celery")
    odd = cell(
        "invalid",
        strategy='<odd> & \x01"name"',
        doubt=Doubt(DoubtKind.NOT_MEASURED, subject="no step\nat all"),
    )
    root = ET.fromstring(
        gate_junit(result(cell("regress", confirmed=True), unsure, odd, cell("pass")))
    )
    suite = root.find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "2",
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "fresh blocks agree" in str(failure.get("message"))


def test_markdown_says_verdict_change_and_note() -> None:
    text = gate_markdown(result(cell("regress", confirmed=True)))
    assert text.startswith("## ❌ Performance gate: regress")
    assert "+20.0%" in text
    assert "a note \\| &lt;with> signs" in text


def test_a_capacitys_change_is_told_in_its_own_direction() -> None:
    assert cell("regress", figure=CAPACITY).change == pytest.approx(1 / 1.2 - 1)
    assert cell("pass").change == pytest.approx(0.2)
