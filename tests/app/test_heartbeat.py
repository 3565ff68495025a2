"""The heartbeat notes by how much the loop was late, and when."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest

from asyncdb_bench.records.messages import Heartbeats
from asyncdb_bench.records.step import HEARTBEAT_US
from asyncdb_bench_attach.application import Beating


def beating(story: Any, heartbeat: Beating) -> None:
    async def run() -> None:
        heartbeat.start()
        await story()

    asyncio.run(run())


def test_a_blocked_loop_is_noted_with_its_length() -> None:
    heartbeat = Beating(lambda: {"queue_depth": 3.0}, 0, HEARTBEAT_US)

    async def story() -> None:
        await asyncio.sleep(0.2)
        time.sleep(0.1)
        await asyncio.sleep(0.05)

    began_us = time.monotonic_ns() // 1000
    beating(story, heartbeat)
    taken = Heartbeats(*heartbeat.take())
    longest = max(taken.lag_us)
    assert longest >= 95_000
    due = taken.at_us[taken.lag_us.index(longest)]
    assert began_us + 150_000 < due < began_us + 500_000
    assert taken.gauges[0]["queue_depth"] == 3


def test_due_times_ascend_by_whole_intervals_also_from_one_take_to_the_next() -> None:
    heartbeat = Beating(dict, 0, HEARTBEAT_US)
    pieces: list[Any] = []

    async def story() -> None:
        for _ in range(2):
            await asyncio.sleep(0.05)
            time.sleep(0.02)
            await asyncio.sleep(0.02)
            pieces.append(Heartbeats(*heartbeat.take()))

    beating(story, heartbeat)
    due = pieces[0].at_us + pieces[1].at_us
    gaps = [after - before for before, after in pairwise(due)]
    assert len(due) > 50
    assert min(gaps) >= HEARTBEAT_US
    assert all(gap % HEARTBEAT_US == 0 for gap in gaps)


@pytest.mark.parametrize("takes", [1, 3])
def test_nothing_noted_gives_nothing(takes: int) -> None:
    heartbeat = Beating(dict, 0, HEARTBEAT_US)
    heartbeat._first_us = 0
    for _ in range(takes):
        assert Heartbeats(*heartbeat.take()) == Heartbeats()
