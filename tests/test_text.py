"""Numbers with no more digits than their interval warrants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.text import (
    counted,
    listed,
    markdown_cell,
    number,
    ratio_bounds,
    warranted,
    xml_text,
)


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (812.4, 700, 940, "810"),
        (812.4, 400, 1300, "800"),
        (20.53, 20.1, 20.9, "20.5"),
        (0.1234, 0.12, 0.127, "0.123"),
        (1234.5, 1230, 1240, "1,230"),
        (5.0, None, None, "5"),
        (5.0, 5.0, 5.0, "5"),
        (3.0, 0.1, 90, "3"),
    ],
)
def test_digits_follow_the_interval(
    value: float, low: float | None, high: float | None, expected: str
) -> None:
    assert warranted(value, low, high) == expected


@given(st.floats(1e-3, 1e6), st.floats(0.001, 0.9))
def test_rounding_stays_within_the_interval(value: float, share: float) -> None:
    low, high = value * (1 - share), value * (1 + share)
    shown = float(warranted(value, low, high).replace(",", ""))
    assert low - value * 0.01 <= shown <= high + value * 0.01


@pytest.mark.parametrize(
    ("value", "expected"),
    [(99.94, "99.9"), (99.97, "100"), (-99.97, "-100"), (1234.5, "1,234"), (0.0001234, "0.000123")],
)
def test_what_is_rounded_to_a_hundred_is_whole(value: float, expected: str) -> None:
    assert number(value) == expected


@given(st.floats(0.1, 9), st.floats(0.1, 9))
def test_bounds_that_leave_out_one_are_seen_to(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert ratio_bounds(0.53, 0.998) == ("0.530", "0.998")
    assert ratio_bounds(0.53, 1.002) == ("0.53", "1.00")
    assert ratio_bounds(1e-9, 155_412_884.0) == ("<0.01", ">100")
    shown = [float(each) for each in ratio_bounds(low, high)]
    if high < 0.999 or low > 1.001:
        assert shown[1] < 1 or shown[0] > 1


def test_lists_and_counts_read_as_sentences() -> None:
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed([]) == ""
    assert counted(1, "block") == "1 block"


def test_texts_fit_their_formats() -> None:
    assert markdown_cell("a|b\n<i>") == "a\\|b &lt;i>"
    assert xml_text("a\x00b\ud800") == "a�b�"
