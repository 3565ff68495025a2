"""The pace of a closed loop: completions by their place in the window, whatever its edges cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.step.durations import pace

S = 1_000_000_000


@given(st.floats(3, 40), st.integers(1, 16), st.floats(0, 1))
def test_a_batch_that_an_edge_cuts_hardly_moves_it(cycles: float, batch: int, phase: float) -> None:
    """The plain count of a window of three batches would be a third off."""
    moments = (np.arange(-2, 50) + phase) * S / cycles
    done = np.repeat(moments.astype(np.int64), batch)
    assert pace(done, 0, S) == pytest.approx(batch * cycles, rel=1.1 / cycles**2)


def test_it_is_unbiased_however_answers_come() -> None:
    """From one completion to another is not: the first gap is a long one more often than not."""
    rng = np.random.default_rng(1)
    for shape in (0.3, 1.0, 8.0):
        gaps = rng.gamma(shape, 0.05 / shape, 400_000)
        done = (np.cumsum(gaps) * S).astype(np.int64)
        starts = np.arange(S, done[-1] - S, S)
        edges = np.searchsorted(done, [starts, starts + S])
        found = [
            pace(done[low:high], int(start), int(start) + S)
            for start, low, high in zip(starts, *edges, strict=True)
        ]
        error = np.std(found) / len(found) ** 0.5
        assert abs(np.mean(found) - 20) < 4 * error


def test_fast_requests_are_counted_as_they_were() -> None:
    rng = np.random.default_rng(1)
    done = np.sort(rng.integers(0, 10 * S, 10_000))
    assert pace(done, 1 * S, 9 * S) == pytest.approx(1000, rel=0.05)


def test_nothing_done_is_no_pace() -> None:
    assert pace(np.array([], dtype=np.int64), S, 2 * S) == 0.0
    assert pace(np.array([3 * S]), S, 2 * S) == 0.0
