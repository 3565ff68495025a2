"""Variants that do not fit into memory at once go in groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant
from asyncdb_bench.trial.turns.groups import KEPT_MB, groups, needed_mb


def test_all_go_at_once_where_they_fit() -> None:
    assert groups([100, 500, 100], KEPT_MB + 700) == [[0, 1, 2]]


def test_they_go_in_groups_where_they_do_not() -> None:
    assert groups([300, 300, 300, 300], KEPT_MB + 600) == [[0, 1], [2, 3]]


def test_one_that_is_too_big_is_tried_by_itself() -> None:
    assert groups([100, 5000, 100], KEPT_MB + 300) == [[0], [1], [2]]


@given(st.lists(st.floats(1, 3000), max_size=12), st.floats(0, 20_000))
def test_each_is_in_one_group_and_no_group_of_several_exceeds_the_room(
    needs: list[float], available: float
) -> None:
    found = groups(needs, available)
    assert [place for group in found for place in group] == list(range(len(needs)))
    for group in found:
        assert len(group) == 1 or sum(needs[place] for place in group) <= available - KEPT_MB


def test_workers_and_their_children_count() -> None:
    def of(text: str) -> float:
        (spec,) = parse_specs(text)
        return needed_mb(make_variant(spec, 8))

    assert of("celery") > 4 * of("native")
    assert of("native:processes=2") == 2 * of("native")
