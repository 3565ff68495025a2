"""Ratios over rounds in launches: right on average, with intervals that hold the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.inference import (
    CPU,
    FREEDOM,
    MEASURED,
    METRICS,
    P99,
    PACE,
    WHOLE,
    Cells,
    Prior,
    Ratio,
    Said,
    Slack,
    all_pairs_quantile,
    classify,
    combined_cells,
    pair_logs,
    prior_of,
    ratio_of,
    rounds_wanting,
    spread_of,
    unpaired_ratio,
)
from asyncdb_bench.analysis.launch_spread import spread_of_launches
from asyncdb_bench.analysis.metric_table import Table
from asyncdb_bench.records.files import LaunchSpread

USUAL = prior_of(PACE, with_broker=False, seen={})
BOTH = (USUAL, USUAL)


def world(
    rng: np.random.Generator,
    paces: Sequence[float],
    launches: int,
    rounds: int,
    launch: float,
    round_: float,
    shared: float = 0.3,
) -> dict[str, Cells]:
    """Draw the paces of variants; what all share in a round is in each of them."""
    common = rng.normal(0, shared, (launches, rounds))
    return {
        str(place): {
            number: {
                each: pace * math.exp(own + common[number, each] + rng.normal(0, round_))
                for each in range(rounds)
            }
            for number, own in enumerate(rng.normal(0, launch, launches))
        }
        for place, pace in enumerate(paces)
    }


def ratio(cells: Mapping[str, Cells], one: str = "0", other: str = "1") -> Ratio:
    found = Table(PACE, cells).ratio(one, other)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("paces", "launches", "rounds", "launch", "round_"),
    [
        ([100, 142], 1, 12, 0.008, 0.03),
        ([100, 142, 90], 1, 6, 0.008, 0.15),
        ([100, 142, 90, 30, 31], 3, 4, 0.008, 0.05),
        ([100, 142, 90], 3, 8, 0.012, 0.02),
        ([100, 142, 90], 2, 4, 0.0, 0.25),
    ],
)
def test_intervals_hold_for_all_pairs_at_once(
    paces: list[float], launches: int, rounds: int, launch: float, round_: float
) -> None:
    rng, held, runs = np.random.default_rng(7), 0, 200
    for _ in range(runs):
        table = Table(PACE, world(rng, paces, launches, rounds, launch, round_))
        held += all(
            low <= math.log(paces[j] / paces[i]) <= high
            for i in range(len(paces))
            for j in range(i)
            for low, high in [log_bounds(table.ratio(str(i), str(j)))]
        )
    # computed at 97.5 %; of 200, three standard errors below 95 %
    assert held >= 181


def log_bounds(found: Ratio | None) -> tuple[float, float]:
    assert found is not None
    assert found.known
    return found.log_bounds


def test_launches_that_stray_more_than_is_usual_widen_what_they_say() -> None:
    """Three launches that disagree by a tenth: the prior does not hide it, nor do many rounds."""
    rng = np.random.default_rng(3)
    calm = world(rng, [100, 100], 3, 30, 0.0, 0.01)
    wild = world(rng, [100, 100], 3, 30, 0.1, 0.01)
    assert ratio(calm).half_width < 0.03
    assert ratio(wild).half_width > 0.08


def test_one_launch_has_an_interval_that_no_number_of_rounds_narrows_to_nothing() -> None:
    rng = np.random.default_rng(4)
    many = ratio(world(rng, [100, 100], 1, 400, 0.0, 0.01))
    assert many.half_width >= 2 * math.sqrt(2) * USUAL.sd
    assert many.freedom >= 1
    few = ratio(world(rng, [100, 100], 1, 4, 0.0, 0.01))
    assert few.half_width < 0.08, "four rounds borrow how the others stray, and answer"


def test_nothing_is_said_from_fewer_than_three_rounds() -> None:
    """Others lend their spread, and one round may be the first after a start."""
    whole = world(np.random.default_rng(6), [100, 30, 90], 1, 12, 0.0, 0.01)
    for rounds, said in ((2, Said.UNKNOWN), (3, Said.WORSE)):
        few = {0: {each: whole["1"][0][each] for each in range(rounds)}}
        found = ratio({**whole, "1": few})
        assert found.known
        assert classify(PACE, found, 0.05) is said


def test_what_a_machine_showed_before_moves_the_prior_and_brokers_stray_more() -> None:
    calm = prior_of(PACE, with_broker=False, seen={"pace_rps": LaunchSpread(1e-5, 40)})
    wild = prior_of(PACE, with_broker=False, seen={"pace_rps": LaunchSpread(0.02**2, 40)})
    assert calm.sd < USUAL.sd < wild.sd < 0.02
    assert calm.freedom > USUAL.freedom == FREEDOM
    assert prior_of(PACE, with_broker=False, seen={"pace_rps": LaunchSpread(-1.0, 40)}).sd > 0
    for metric in METRICS:
        quiet, broker = MEASURED[metric.name]
        assert quiet < broker, metric.name


def test_the_spread_of_launches_is_found_without_what_rounds_explain() -> None:
    rng = np.random.default_rng(5)
    table = Table(PACE, world(rng, [100] * 6, 40, 12, 0.02, 0.03))
    found = spread_of_launches(table, with_broker=False)
    assert found is not None
    assert math.sqrt(found.variance) == pytest.approx(0.02, rel=0.3)
    still = spread_of_launches(
        Table(PACE, world(rng, [100] * 6, 40, 12, 0.0, 0.03)), with_broker=False
    )
    assert still is not None
    assert abs(still.variance) < 0.007**2
    assert (
        spread_of_launches(Table(PACE, world(rng, [1, 2], 1, 9, 0, 0)), with_broker=False) is None
    )
    alone = Table(PACE, world(rng, [100] * 4, 3, 1, 0.0, 0.1))
    assert spread_of_launches(alone, with_broker=False) is None, "its rounds stray"


def test_what_all_share_in_a_round_is_in_no_ratio() -> None:
    cells = world(np.random.default_rng(1), [100, 150], 3, 4, 0, 0)
    logs = pair_logs(cells["0"], cells["1"])
    for rounds in logs.values():
        assert list(rounds.values()) == pytest.approx([math.log(1.5)] * 4)


def test_rounds_that_one_lacks_are_left_out_of_both() -> None:
    one = {0: {0: 100.0, 1: 300.0}, 1: {0: 100.0}}
    other = {0: {0: 150.0}, 1: {0: 150.0, 1: 1.0}, 2: {0: 9.0}}
    found = pair_logs(one, other)
    assert {launch: set(rounds) for launch, rounds in found.items()} == {0: {0}, 1: {0}}
    assert found[0][0] == pytest.approx(math.log(1.5))
    assert ratio_of({0: {0: 1.0}}, {1: {0: 1.0}}, spread_of([]), 2, BOTH) is None


def test_one_round_alone_has_a_ratio_and_no_interval() -> None:
    found = ratio({"0": {0: {0: 100.0}}, "1": {0: {0: 150.0}}})
    assert found.ratio == pytest.approx(1.5)
    assert (found.bounds, found.within, found.smallest) == (None, math.inf, None)
    assert classify(PACE, found, 0.05) is Said.UNKNOWN


def test_a_launch_with_one_figure_has_the_intervals_of_launches_that_stray_so() -> None:
    """As of a ladder, whose capacity a launch has one of."""
    cells = {"0": {0: {WHOLE: 100.0}}, "1": {0: {WHOLE: 150.0}}}
    found = ratio(cells)
    assert found.known
    assert found.half_width > 2 * math.sqrt(2) * USUAL.sd


def test_few_rounds_borrow_the_spread_of_all_and_a_noisy_pair_is_not_made_quiet_by_it() -> None:
    rng = np.random.default_rng(6)
    cells = world(rng, [100] * 6, 1, 4, 0, 0.05)
    alone = ratio({name: cells[name] for name in ("0", "1")})
    assert ratio(cells).freedom > alone.freedom
    cells["1"] = {0: {n: 100.0 * (1.6 if n % 2 else 1) for n in range(4)}}
    assert ratio(cells).half_width > 0.15


def test_equivalence_is_two_one_sided_tests_and_pairs_are_students_or_tukeys() -> None:
    found = Ratio(0.01, 0.01, 10, 2, 6, 60)
    # one-sided 97.5 % of t with 10 degrees of freedom: 2.228
    assert found.within == pytest.approx(math.exp(0.01 + 2.228 * 0.01) - 1, rel=1e-3)
    assert found.inverse.within == pytest.approx(found.within)
    assert all_pairs_quantile(2, 10, 0.95) == pytest.approx(2.228, abs=1e-3)
    # Tukey's table: q(0.05; 5, 10) = 4.654, q(0.05; 5, 24) = 4.166
    assert all_pairs_quantile(5, 10, 0.95) == pytest.approx(4.654 / math.sqrt(2), abs=2e-3)
    assert all_pairs_quantile(5, 24, 0.95) == pytest.approx(4.166 / math.sqrt(2), rel=0.01)


def test_what_would_show_is_shown_four_times_in_five() -> None:
    rng, runs, shown = np.random.default_rng(2), 300, 0
    smallest = ratio(world(rng, [100, 100], 1, 24, USUAL.sd, 0.03)).smallest
    assert smallest is not None
    for _ in range(runs):
        found = ratio(world(rng, [100, 100 * smallest], 1, 24, USUAL.sd, 0.03))
        shown += abs(found.centre) > found.half_width
    assert shown / runs == pytest.approx(0.8, abs=0.12)


def test_of_equal_variants_one_is_hardly_ever_said_to_differ() -> None:
    rng, alarms, runs = np.random.default_rng(5), 0, 300
    for _ in range(runs):
        table = Table(PACE, world(rng, [100] * 5, 1, 6, USUAL.sd, 0.1))
        said = {
            table.answer(table.best, n, 0.02, 0.05).said for n in table.cells if n != table.best
        }
        alarms += bool(said - {Said.UNKNOWN, Said.SAME})
    assert alarms <= 0.05 * runs


@pytest.mark.parametrize(
    ("centre", "error", "said"),
    [
        (0.2, 0.02, Said.BETTER),
        (-0.2, 0.02, Said.WORSE),
        (0.01, 0.005, Said.SAME),
        (0.04, 0.003, Said.SAME),
        (0.1, 0.1, Said.UNKNOWN),
        (0.2, math.nan, Said.UNKNOWN),
    ],
)
def test_one_vocabulary_for_all_metrics(centre: float, error: float, said: Said) -> None:
    found = Ratio(centre, error, 20, 2, 1, 20)
    assert classify(PACE, found, 0.05) is said
    other = {Said.BETTER: Said.WORSE, Said.WORSE: Said.BETTER}.get(said, said)
    assert classify(CPU, found, 0.05) is other, "where less is better, more is worse"
    assert classify(PACE, None, 0.05) is Said.UNKNOWN


def test_a_doubt_widens_an_interval_and_is_not_sound_only_where_it_could_turn_the_answer() -> None:
    clear = Ratio(0.5, 0.02, 20, 2, 1, 20)
    small, large = Slack(down=0.1, doubt=True), Slack(down=0.6, doubt=True)
    doubted = replace(clear, slack=small)
    assert (doubted.bounds or (0, 0))[0] < (clear.bounds or (0, 0))[0]
    assert classify(PACE, doubted, 0.05) is Said.BETTER
    assert classify(PACE, replace(clear, slack=large), 0.05) is Said.UNSOUND
    upward = replace(clear, slack=Slack(up=0.6, doubt=True))
    assert classify(PACE, upward, 0.05) is Said.BETTER, "it could only be better still"
    open_ = Ratio(0.1, 0.1, 20, 2, 1, 20, large)
    assert classify(PACE, open_, 0.05) is Said.UNKNOWN, "it was not known without it either"
    same = Ratio(0.0, 0.005, 20, 2, 1, 20)
    assert classify(PACE, replace(same, slack=small), 0.05) is Said.UNSOUND
    coarse = replace(clear, slack=Slack(down=0.6))
    assert classify(PACE, coarse, 0.05) is Said.UNKNOWN, "how finely was looked is no doubt"


@given(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(-1, 1))
def test_a_slack_turned_round_is_that_of_the_inverse(down: float, up: float, centre: float) -> None:
    found = Ratio(centre, 0.02, 9, 2, 1, 10, Slack(down, up))
    low, high = found.log_bounds
    assert found.inverse.log_bounds == pytest.approx((-high, -low))
    assert found.inverse.inverse == found


def test_two_runs_share_no_rounds_and_are_held_apart_by_welchs_t() -> None:
    rng = np.random.default_rng(8)
    one, other = ({0: dict(enumerate(np.exp(rng.normal(m, 0.05, 12))))} for m in (0, 0.3))
    nothing = (Prior(0.0, 1e9), Prior(0.0, 1e9))
    found = unpaired_ratio(one, other, 2, nothing)
    assert found is not None
    logs = [np.log(list(each[0].values())) for each in (one, other)]
    known = scipy.stats.ttest_ind(logs[1], logs[0], equal_var=False)
    low, high = known.confidence_interval(0.975)
    assert found.log_bounds == pytest.approx((low, high), rel=0.02)
    wider = unpaired_ratio(one, other, 2, BOTH)
    assert wider is not None
    assert wider.half_width > found.half_width, "each run had launches of its own"
    assert unpaired_ratio({}, other, 2, BOTH) is None


def test_more_rounds_are_wanted_the_further_an_interval_is_from_telling() -> None:
    far, near = Ratio(0.3, 0.2, 9, 2, 1, 10), Ratio(0.3, 0.1, 9, 2, 1, 10)
    assert rounds_wanting(far, 0.05, 0.05) > rounds_wanting(near, 0.05, 0.05)
    nothing = Ratio(0.0, 0.04, 9, 2, 1, 10)
    assert rounds_wanting(nothing, 0.05, 0.05) == pytest.approx(
        (nothing.half_width / math.log(1.05)) ** 2
    )


def test_copies_of_one_thing_are_taken_together_round_by_round() -> None:
    found = combined_cells([{0: {0: 100.0, 1: 90.0}}, {0: {0: 121.0}}])
    assert found[0] == pytest.approx({0: 110.0, 1: 90.0})


def test_the_best_is_ahead_in_rounds_that_both_had() -> None:
    """A variant whose few rounds fell into fast seconds has the higher mean, and is not best."""
    fast = {0: 150.0, 1: 150.0}
    slow = dict.fromkeys(range(2, 10), 80.0)
    table = Table(PACE, {"a": {0: fast | slow}, "b": {0: {n: v * 0.9 for n, v in fast.items()}}})
    assert table.best == "a"
    assert table.values["b"] == pytest.approx(0.9 * table.values["a"])


def test_a_percentiles_bins_are_in_its_error() -> None:
    cells = {name: {0: dict.fromkeys(range(20), 10.0)} for name in ("a", "b")}
    exact = Table(PACE, cells).ratio("a", "b")
    binned = Table(P99, cells).ratio("a", "b")
    assert exact is not None
    assert binned is not None
    assert binned.error > 0
    bounds = Table(P99, cells).bounds("a")
    assert bounds is not None
    assert bounds[0] < 10 < bounds[1]
