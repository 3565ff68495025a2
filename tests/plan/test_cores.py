"""Which role runs where."""

from __future__ import annotations

import os

import pytest

from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.cores import on_cores, permitted, share_out, usable_cores
from asyncdb_bench.records.plan import Pinning


@pytest.mark.parametrize(
    ("usable", "system", "services", "load"),
    [
        ((0, 1), (0,), (1,), (1,)),
        ((0, 1, 2), (0,), (1,), (2,)),
        ((0, 1, 2, 3), (0, 1), (2,), (3,)),
        ((4, 5, 6, 7, 8, 9, 10, 11), (4, 5, 6, 7), (8, 9, 10), (11,)),
    ],
)
def test_auto_gives_half_to_the_system_under_test(
    usable: tuple[int, ...],
    system: tuple[int, ...],
    services: tuple[int, ...],
    load: tuple[int, ...],
) -> None:
    pinning = share_out("auto", usable)
    assert pinning.of("app") == pinning.of("workers") == system
    assert pinning.of("postgresql") == pinning.of("broker") == services
    assert pinning.of("load") == load
    assert not pinning.problem


def test_what_cannot_be_pinned_says_why() -> None:
    assert "one core" in share_out("auto", (0,)).problem
    assert share_out("off", (0, 1)).problem == "not pinned: cpus=off"
    assert share_out("off", (0, 1)).of("app") == ()


def test_cores_by_hand() -> None:
    pinning = share_out("0-1,4/2/3", range(8))
    assert pinning.of("app") == (0, 1, 4)
    assert pinning.of("broker") == (2,)
    assert pinning.of("load") == (3,)


@pytest.mark.parametrize("spec", ["nonsense", "0/1", "0/1/x", "//", "0/1/2/3/4", "1-0/2/3"])
def test_a_list_that_is_none_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="neither auto, off nor three lists"):
        share_out(spec, range(8))


def test_cores_that_may_not_be_used_are_refused() -> None:
    with pytest.raises(UsageError, match="core 9 is not among the usable"):
        share_out("0/1/9", (0, 1))


def test_a_kernel_that_refuses_leaves_everything_unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    pinning = permitted(Pinning({"app": (0,)}))
    assert pinning.cores == {}
    assert pinning.problem.startswith("not pinned: the kernel refused cores (0,)")


def test_what_is_started_meanwhile_runs_on_the_cores() -> None:
    core = usable_cores()[-1]
    before = os.sched_getaffinity(0)
    with on_cores((core,)):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
