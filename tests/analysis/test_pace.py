"""The pace of a closed loop: from one completion to another, whatever the window cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.analysis.step.durations import pace

S = 1_000_000_000


@given(st.floats(0.05, 0.6), st.integers(1, 16), st.floats(0.05, 0.5))
def test_batches_of_slow_requests_are_counted_whole(
    period_s: float, batch: int, lead_s: float
) -> None:
    """A window of fixed length would hold one batch more or less: up to 100 % off."""
    moments = np.arange(1, 100) * period_s * S
    done = np.repeat(moments.astype(np.int64), batch)
    found = pace(done, 0, int(lead_s * S), int((lead_s + 1) * S))
    assert found == pytest.approx(batch / period_s, rel=1e-6)


def test_fast_requests_are_counted_as_they_were() -> None:
    rng = np.random.default_rng(1)
    done = np.sort(rng.integers(0, 10 * S, 10_000))
    assert pace(done, 0, 1 * S, 9 * S) == pytest.approx(1000, rel=0.05)


def test_nothing_done_is_no_pace() -> None:
    assert pace(np.array([], dtype=np.int64), 0, S, 2 * S) == 0.0
    assert pace(np.array([3 * S]), 0, S, 2 * S) == 0.0
