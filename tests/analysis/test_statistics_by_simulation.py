"""Statistics over blocks: against scipy, and by simulating runs whose effect is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis import statistics

SIMULATED = 2000
positive = st.floats(0.01, 1000)
blocks = st.lists(st.tuples(positive, positive), min_size=2, max_size=12)


def within(hits: int, share: float, n: int = SIMULATED) -> bool:
    """Whether so many hits are what a share of n comes to, with 99.9 % of all chances."""
    low, high = scipy.stats.binom.interval(0.999, n, share)
    return bool(low <= hits <= high)


def simulated(effect: float, n: int, heavy: bool = False) -> np.ndarray:
    """Log ratios of so many runs of n blocks."""
    rng = np.random.default_rng(11)
    noise = rng.laplace(0, 0.04, (SIMULATED, n)) if heavy else rng.normal(0, 0.06, (SIMULATED, n))
    return noise + math.log(effect)


def p_of(logs: np.ndarray) -> float:
    """Return what the paired test says of a run's log ratios."""
    found = statistics.paired_effect([1.0] * len(logs), np.exp(logs).tolist())
    assert found.p is not None
    return found.p


@given(blocks)
def test_a_paired_effect_is_what_scipy_says_of_the_logarithms(
    pairs: list[tuple[float, float]],
) -> None:
    base, head = zip(*pairs, strict=True)
    found = statistics.paired_effect(base, head)
    logs = np.log(head) - np.log(base)
    assert found.ratio == pytest.approx(math.exp(np.mean(logs)))
    if np.std(logs) < 1e-9:
        return
    known = scipy.stats.ttest_1samp(logs, 0)
    low, high = known.confidence_interval(0.95)
    expected = [math.exp(min(max(bound, -700), 700)) for bound in (low, high)]
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.p == pytest.approx(known.pvalue, abs=1e-12)


@given(st.lists(positive, min_size=2, max_size=9), st.lists(positive, min_size=2, max_size=9))
def test_an_unpaired_effect_is_welchs_t_on_the_logarithms(
    base: list[float], head: list[float]
) -> None:
    logs = [np.log(base), np.log(head)]
    if min(np.std(each) for each in logs) < 1e-6:
        return
    found = statistics.unpaired_effect(base, head)
    known = scipy.stats.ttest_ind(logs[1], logs[0], equal_var=False)
    low, high = known.confidence_interval(0.95)
    assert found.p == pytest.approx(known.pvalue)
    expected = [math.exp(min(max(bound, -700), 700)) for bound in (low, high)]
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize("n", [3, 6, 12])
def test_without_an_effect_alarms_are_as_frequent_as_alpha_says(n: int) -> None:
    runs = simulated(1, n)
    assert within(sum(p_of(run) < 0.05 for run in runs), 0.05)


def test_alarms_stay_below_alpha_where_tails_are_heavy() -> None:
    runs = simulated(1, 8, heavy=True)
    alarms = sum(p_of(run) < 0.05 for run in runs)
    assert alarms <= scipy.stats.binom.ppf(0.999, SIMULATED, 0.05)


@pytest.mark.parametrize("n", [4, 8])
def test_intervals_cover_at_their_nominal_rate(n: int) -> None:
    hits = 0
    for run in simulated(1.1, n):
        low, high = statistics.t_bounds(run.mean(), run.std(ddof=1) / math.sqrt(n), n - 1, 0.95)
        hits += low <= math.log(1.1) <= high
    assert within(hits, 0.95)


@pytest.mark.parametrize("n", [5, 12])
def test_the_smallest_effect_that_could_be_seen_is_seen_with_the_power_it_says(n: int) -> None:
    effect = math.exp(statistics.detectable(0.06, n, power=0.8))
    seen = sum(p_of(run) < 0.05 for run in simulated(effect, n))
    assert within(seen, 0.8)


def test_so_many_blocks_are_needed_and_one_less_would_not_do() -> None:
    wanted = math.log(1.1)
    needed = statistics.blocks_needed(0.08, wanted)
    assert needed is not None
    assert statistics.detectable(0.08, needed) <= wanted < statistics.detectable(0.08, needed - 1)
    assert statistics.blocks_needed(5.0, 0.001) is None
    assert statistics.blocks_needed(1.0, math.log(1.1), alpha=0.1) == 682
    assert 10 < statistics.detectable(1.0, 2) < 20, "two blocks see next to nothing"
    assert statistics.blocks_needed(0.0, 0.05) == 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_step_down_of_its_definition(p_values: list[float]) -> None:
    adjusted = statistics.holm(p_values)
    ordered = sorted(p_values)
    for p, found in zip(p_values, adjusted, strict=True):
        # rejected at alpha: every smaller one passes its own bound first
        rank = ordered.index(p)
        known = max((len(p_values) - i) * ordered[i] for i in range(rank + 1))
        assert found == pytest.approx(min(1, known))


def test_holm_keeps_the_whole_tables_error_rate() -> None:
    rng = np.random.default_rng(2)
    alarms = sum(
        min(statistics.holm(rng.uniform(size=6).tolist())) < 0.05 for _ in range(SIMULATED)
    )
    assert within(alarms, 1 - (1 - 0.05 / 6) ** 6)


def test_the_noise_of_an_a_a_is_passed_as_often_as_it_says() -> None:
    runs = simulated(1, 12)
    passed = sum(
        abs(run[6:].mean()) > math.log(statistics.noise_ratio(run[:6].tolist())) for run in runs
    )
    # the six that are judged vary as the six that set the floor: F with 1 and 6 degrees of freedom
    assert within(passed, 0.05)


@pytest.mark.parametrize(("hits", "n"), [(0, 60), (3, 60), (60, 60)])
def test_the_bounds_of_a_share_are_scipys(hits: int, n: int) -> None:
    known = scipy.stats.binomtest(hits, n).proportion_ci(method="exact")
    assert statistics.share_interval(hits, n) == pytest.approx((known.low, known.high))


def test_one_block_claims_no_interval() -> None:
    found = statistics.paired_effect([10], [12])
    assert found.n == 1
    assert found.ratio == pytest.approx(1.2)
    assert found.low is found.p is found.mde is None
    assert statistics.unpaired_effect([10, 11], [12]).low is None


@pytest.mark.parametrize("bad", [[], [0.0, 1.0], [math.nan, 1.0], [math.inf, 1.0], [-1.0, 1.0]])
def test_what_is_no_positive_number_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="positive finite"):
        statistics.paired_effect(bad, [1.0] * len(bad))


def test_pairs_need_equal_lengths() -> None:
    with pytest.raises(ValueError, match="2 blocks of the one, 3 of the other"):
        statistics.paired_effect([1, 2], [1, 2, 3])


def test_blocks_that_are_all_alike_are_certain() -> None:
    found = statistics.paired_effect([1, 2, 3], [2, 4, 6])
    assert (found.low, found.high) == pytest.approx((2, 2))
    assert found.p == pytest.approx(0)
    assert found.mde == pytest.approx(1)
