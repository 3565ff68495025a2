"""An overload's end: a loop that is held up is not believed, nor a database that goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asyncdb_bench.analysis.step.series import NO_BEATS, Beats
from asyncdb_bench.measure import running_variant
from asyncdb_bench.measure.running_variant import RunningVariant, is_free

FREE = Beats(np.arange(100), np.full(100, 300), [])
HELD = Beats(np.arange(3), np.array([100, 45_000, 200]), [])


class Made(RunningVariant):
    """A variant that says what it is told to, look by look."""

    def __init__(self, beats: list[Beats], quiet: list[bool], depth: list[int]) -> None:
        self.looks = 0
        self._said = beats
        self.launch: Any = SimpleNamespace(variant=SimpleNamespace(target=None))
        self.monitor: Any = SimpleNamespace(is_quiet=lambda: self._at(quiet))
        self.depth: Any = SimpleNamespace(take=lambda: [(0, self._at(depth))])

    def _at(self, told: list[Any]) -> Any:
        return told[min(self.looks - 1, len(told) - 1)]

    def _beats_or_why(self) -> Any:
        self.looks += 1
        return self._at(self._said), None


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_variant, "LOOK_S", 0.001)


def test_a_loop_is_free_that_beats_and_was_not_held_up() -> None:
    assert is_free(FREE)
    assert not is_free(HELD)
    assert not is_free(NO_BEATS), "one that is held up for long does not beat at all"


@pytest.mark.parametrize(
    ("beats", "quiet", "depth"),
    [
        ([FREE] * 3 + [HELD, FREE], [True], [0]),
        ([FREE] * 3 + [NO_BEATS, FREE], [True], [0]),
        ([FREE], [True, True, True, False, True], [0]),
        ([FREE], [True], [0, 0, 0, 7, 0]),
    ],
)
def test_it_is_over_after_some_looks_in_a_row(
    beats: list[Beats], quiet: list[bool], depth: list[int]
) -> None:
    made = Made(beats, quiet, depth)
    assert made._rest() is not None
    assert made.looks == 4 + running_variant.QUIET_LOOKS


def test_what_never_ends_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_variant, "LONGEST_REST_S", 0.05)
    assert Made([NO_BEATS], [True], [0])._rest() is None
    assert Made([FREE], [False], [0])._rest() is None
