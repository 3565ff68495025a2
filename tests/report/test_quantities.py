"""A figure's text: what its interval warrants, and bounds to match."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.report.quantities import share, with_bounds


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (1.795, 0.675, 3.91, ("1.8", "0.7 to 3.9")),
        (1270.4, 1185.2, 1372.9, ("1,270", "1,185 to 1,373")),
        (10.4, 6.05, 15.9, ("10", "6 to 16")),
        (2.0, 0.04, 9.1, ("2", "0.04 to 9")),
        (5.0, None, 6.0, ("5", "")),
        (60.0, 5e-11, 7.5e13, ("60", "no interval yet")),
        (30.4, 0.0, 1.3e7, ("30", "no interval yet")),
        (None, 1.0, 2.0, ("–", "")),
        (math.nan, 1.0, 2.0, ("–", "")),
    ],
)
def test_bounds_have_the_figures_digits(
    value: float | None, low: float | None, high: float | None, shown: tuple[str, str]
) -> None:
    assert with_bounds(value, low, high) == shown


@given(st.floats(0.01, 1e5), st.floats(0.01, 0.8))
def test_a_bound_is_never_rounded_to_nothing(value: float, part: float) -> None:
    _, bounds = with_bounds(value, value * (1 - part), value * (1 + part))
    assert float(bounds.split(" to ")[0].replace(",", "")) > 0


def test_a_share_of_none_is_nothing() -> None:
    assert (share(0.0), share(0.012), share(None)) == ("0", "1.20%", "–")
