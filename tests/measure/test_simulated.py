"""The made-up run, against the queueing theory that it claims to follow."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulated import Truth, erlang_c, response_ms


@given(st.integers(1, 50), st.floats(0.01, 0.99))
def test_erlang_c_is_its_definition(servers: int, share: float) -> None:
    busy = servers * share
    last = busy**servers / math.factorial(servers) / (1 - share)
    whole = sum(busy**k / math.factorial(k) for k in range(servers)) + last
    assert erlang_c(servers, busy) == pytest.approx(last / whole)


@pytest.mark.parametrize("load", [1.0, 50.0, 90.0])
def test_one_server_is_the_known_case(load: float) -> None:
    """M/M/1: the response time is exponential with mean 1 / (service rate - arrival rate)."""
    p50, _, p99, _ = response_ms(Truth(10, 1), load, 1)
    mean = 1000 / (100 - load)
    assert p50 == pytest.approx(mean * math.log(2), rel=1e-4)
    assert p99 == pytest.approx(mean * math.log(100), rel=1e-4)


def test_beyond_the_capacity_the_queue_grows_until_the_turn_ends() -> None:
    p50, _, _, longest = response_ms(Truth(10, 1), 200, 2)
    assert longest == pytest.approx(1000, rel=0.05)
    assert p50 == pytest.approx(longest / 2)
