"""Knobs: typed, bounded, following the budget, refused with what to do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.contract.knob import BUDGET, knob, knobs_of, make_knobs, split_knobs, values_of
from asyncdb_bench.errors import KnobError, UnknownNameError


@dataclass(frozen=True)
class Sample:
    size: int = knob(BUDGET, unit="threads", low=1, high=64)
    ratio: float = knob(0.5, low=0, high=1)
    fast: bool = knob(False)
    kind: str = knob("a", choices=("a", "b"))


def test_a_knob_that_follows_the_budget_takes_its_value() -> None:
    assert values_of(make_knobs(Sample, {}, owner="s", budget=12)) == {
        "size": 12,
        "ratio": 0.5,
        "fast": False,
        "kind": "a",
    }


def test_text_from_the_command_line_is_typed() -> None:
    made = make_knobs(Sample, {"size": "3", "fast": "yes", "kind": "b"}, owner="s", budget=8)
    assert (made.size, made.fast, made.kind) == (3, True, "b")


@pytest.mark.parametrize(
    ("given_value", "says"),
    [
        ({"size": "0"}, "s:size=0 is outside 1..64 threads"),
        ({"size": "many"}, "s:size=many is not a whole number"),
        ({"ratio": "1.5"}, "s:ratio=1.5 is outside 0..1"),
        ({"ratio": "nan"}, "s:ratio=nan is no number"),
        ({"fast": "perhaps"}, "s:fast=perhaps is not true or false"),
        ({"kind": "c"}, "s:kind=c is not one of a, b"),
    ],
)
def test_a_value_out_of_bounds_is_refused(given_value: dict[str, str], says: str) -> None:
    with pytest.raises(KnobError) as error:
        make_knobs(Sample, given_value, owner="s", budget=8)
    assert str(error.value) == says


def test_an_unknown_knob_lists_the_known_ones_and_the_near_one() -> None:
    with pytest.raises(
        UnknownNameError, match=r"known: fast, kind, ratio, size; did you mean 'size'"
    ):
        make_knobs(Sample, {"sise": "3"}, owner="s", budget=8)


@given(st.integers())
def test_bounds_are_inclusive_and_nothing_beyond_them_passes(size: int) -> None:
    if 1 <= size <= 64:
        assert make_knobs(Sample, {"size": size}, owner="s", budget=8).size == size
    else:
        with pytest.raises(KnobError):
            make_knobs(Sample, {"size": size}, owner="s", budget=8)


def test_bounds_are_shown() -> None:
    assert [each.bounds for each in knobs_of(Sample).values()] == [
        "1..64",
        "0..1",
        "true|false",
        "a|b",
    ]


@dataclass(frozen=True)
class Shared:
    pool: int = knob(8, low=0, high=64, split=True)
    other: int = knob(3, low=1, high=64)


@given(pool=st.integers(0, 64), processes=st.integers(1, 16))
def test_shares_of_a_split_knob_add_up_to_the_whole(pool: int, processes: int) -> None:
    whole = Shared(pool=pool)
    if 0 < pool < processes:
        with pytest.raises(KnobError, match="cannot be split"):
            split_knobs(whole, processes, 0, owner="s")
        return
    shares = [split_knobs(whole, processes, place, owner="s") for place in range(processes)]
    assert sum(each.pool for each in shares) == pool
    assert max(each.pool for each in shares) - min(each.pool for each in shares) <= 1
    assert {each.other for each in shares} == {3}
