"""One population: what the table counts, the figure shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.curves import percentile_curves
from asyncdb_bench.analysis.step.durations import Times, felt_operations, population
from asyncdb_bench.records.step import PHASES, TASK_STAMPS, Outcome, request_columns

STARTED_NS = 5_000_000_000
WINDOW_S, DRAIN_S = 2.0, 1.0
OPERATIONS = ("post", "search")


def scratch(path: Path, outcome: list[int], operation: list[int], seed: int) -> Path:
    """Write a step's columns as the load does."""
    rng = np.random.default_rng(seed)
    n = len(outcome)
    outcomes = np.array(outcome, np.int8)
    intended = STARTED_NS + np.sort(rng.integers(0, int(WINDOW_S * 1e9), n))
    done = intended + rng.integers(1_000_000, 900_000_000, n)
    done[np.isin(outcomes, [Outcome.SKIPPED, Outcome.UNDRAINED])] = 0
    sent = np.where(outcomes == Outcome.SKIPPED, 0, intended + 50_000)
    named = {*PHASES, "held", "run", "back"}
    columns: dict[str, Any] = {f"{name}_us": np.full(n, -1) for name in named}
    columns |= {f"{name}_ns": np.zeros(n, np.int64) for name in TASK_STAMPS}
    np.savez(
        path,
        intended_ns=intended,
        sent_ns=sent,
        done_ns=done,
        status=np.zeros(n, np.int16),
        outcome=outcomes,
        operation=np.array(operation, np.int8),
        probes=np.zeros((0, 2)),
        **columns,
    )
    return path


requests = st.lists(
    st.tuples(st.sampled_from([int(each) for each in Outcome]), st.integers(0, 1)),
    min_size=1,
    max_size=200,
)


@pytest.mark.parametrize("counted", [(), ("post",)])
@given(made=requests, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_figure_and_the_table_take_the_same_requests(
    tmp_path_factory: pytest.TempPathFactory,
    counted: tuple[str, ...],
    made: list[tuple[int, int]],
    seed: int,
) -> None:
    outcome, operation = (list(each) for each in zip(*made, strict=True))
    file = scratch(tmp_path_factory.mktemp("p") / "step.npz", outcome, operation, seed)
    times = Times(file, STARTED_NS, WINDOW_S, DRAIN_S, OPERATIONS, counted)
    table = pa.table(request_columns("t", 0, OPERATIONS, file, times.each_latency_us))
    told = statistics.percentiles(times.latency_us)
    curves = percentile_curves([table], {("t", 0): "it"})
    assert told.n == len(times.latency_us)
    if not told.n:
        assert not curves
        return
    curve = curves["it"]
    assert curve.corrected_ms[-1] == pytest.approx(told.max_ms)
    assert curve.corrected_ms[0] == pytest.approx(min(times.latency_us) / 1000)
    shown = np.sort(table["latency_us"].drop_null().to_numpy())
    assert shown.tolist() == np.sort(times.latency_us).tolist()
    for level, figure in ((0.5, told.p50_ms), (0.99, told.p99_ms)):
        assert np.quantile(shown, level, method="inverted_cdf") / 1000 == pytest.approx(figure)


def test_what_never_came_back_counts_with_the_time_that_it_waited(tmp_path: Path) -> None:
    outcome = [Outcome.OK, Outcome.UNDRAINED, Outcome.ERROR, Outcome.SKIPPED, Outcome.TIMEOUT]
    file = scratch(tmp_path / "step.npz", [int(each) for each in outcome], [0] * 5, 1)
    times = Times(file, STARTED_NS, WINDOW_S, DRAIN_S)
    assert len(times.latency_us) == 3
    with np.load(file) as columns:
        waited_us = (STARTED_NS + 3e9 - columns["intended_ns"][1]) / 1000
    assert times.each_latency_us[1] == pytest.approx(waited_us, abs=1)
    assert (times.each_latency_us[[2, 3]] == -1).all()


def test_operations_that_count() -> None:
    numbers = np.array([0, 1, 1, 0])
    assert felt_operations(numbers, OPERATIONS, ()).all()
    assert felt_operations(numbers, OPERATIONS, ("post",)).tolist() == [True, False, False, True]
    found = population(np.array([1, 0]), np.array([7, 0]), 9, np.array([True, True]))
    assert found.done.tolist() == [7, 9]
