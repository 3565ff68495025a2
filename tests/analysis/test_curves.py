"""Series -> courses over time; the knee of a climb."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis import curves
from asyncdb_bench.analysis.curves import POINTS, courses, percentile_curves
from asyncdb_bench.analysis.limits import knee
from asyncdb_bench.analysis.step.histogram import ERROR
from asyncdb_bench.analysis.tables import aggregate, steps_table
from tests.factories import step

WANTED = {("a", 0): "first", ("b", 0): "first", ("a", 1): "second"}


def table(rows: list[tuple[str, int, int, str, float]]) -> pa.Table:
    trial, number, at, name, value = zip(*rows, strict=True)
    return pa.table(
        {
            "trial": list(trial),
            "step": np.array(number, np.int16),
            "at_us": np.array(at, np.int64),
            "name": list(name),
            "value": np.array(value, float),
        }
    )


def test_a_course_starts_at_zero_and_is_in_milliseconds() -> None:
    rows = [("a", 0, 5_000_000 + n * 20_000, "probe_us", 1000.0 * n) for n in range(10)]
    rows += [("a", 0, 5_000_000 + n * 20_000, "waiting", float(n)) for n in range(10)]
    found = courses([table(rows)], WANTED)["first"]
    assert set(found) == {"probe_us", "waiting"}
    assert found["probe_us"].value == [float(n) for n in range(10)]
    assert found["waiting"].value == [float(n) for n in range(10)]
    assert found["probe_us"].at_s[0] < 0.01
    assert found["probe_us"].at_s[-1] == pytest.approx(0.18, abs=0.01)


def test_of_several_blocks_the_first_is_shown_whole_over_pieces() -> None:
    first = [("a", 0, n * 1000, "waiting", 1.0) for n in range(5)]
    rest = [("a", 0, 5000 + n * 1000, "waiting", 2.0) for n in range(5)]
    other = [("b", 0, n * 1000, "waiting", 99.0) for n in range(5)]
    found = courses([table(first), table(rest), table(other)], WANTED)
    assert set(found) == {"first"}
    assert set(found["first"]["waiting"].value) == {1.0, 2.0}
    assert len(found["first"]["waiting"].value) == 10


def test_what_was_not_asked_for_is_left_out() -> None:
    rows = [("c", 0, 0, "waiting", 1.0), ("a", 1, 0, "connections", 8.0)]
    assert courses([table(rows[:1])], WANTED) == {}
    assert courses([table(rows[1:])], WANTED).get("second", {}) == {}


@given(st.lists(st.integers(0, 60_000_000), min_size=1, max_size=600), st.integers(0, 1000))
def test_thinning_keeps_the_greatest_and_the_order(at: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).random(len(at))
    rows = [("a", 0, t, "waiting", float(v)) for t, v in zip(at, values, strict=True)]
    found = courses([table(rows)], WANTED)["first"]["waiting"]
    assert len(found.at_s) <= POINTS
    assert max(found.value) == pytest.approx(values.max())
    assert found.at_s == sorted(found.at_s)
    assert set(found.value) <= set(values.tolist())


def test_the_knee_is_where_throughput_per_latency_is_greatest() -> None:
    latencies = {100: 20, 200: 21, 400: 25, 800: 90, 1600: 900}
    made = aggregate(steps_table([step("a", load, p99=p99) for load, p99 in latencies.items()]))
    assert knee(made) == 400
    assert knee(made[:2]) is None


def requests(count: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    intended = np.sort(rng.integers(0, 10_000_000, count))
    latency = rng.gamma(2, 5000, count).astype(np.int64)
    return pa.table(
        {
            "trial": ["a"] * count,
            "step": np.zeros(count, np.int16),
            "operation": ["read"] * count,
            "intended_us": intended,
            "done_us": intended + latency,
            "outcome": np.ones(count, np.int8),
            "latency_us": latency,
        }
    )


def test_many_requests_are_sketched_and_few_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [requests(4000, seed) for seed in range(5)]
    exact = percentile_curves(pieces, WANTED)["first"]
    monkeypatch.setattr(curves, "EXACT", 6000)
    sketched = percentile_curves(iter(pieces), WANTED)["first"]
    assert sketched.levels == exact.levels
    assert sketched.corrected_ms != exact.corrected_ms
    assert sketched.corrected_ms == pytest.approx(exact.corrected_ms, rel=ERROR * 1.01)
    assert sketched.raw_ms == pytest.approx(exact.raw_ms, rel=ERROR * 1.01)
