"""The phases of a step's requests, from what the application told of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncdb_bench.load.recorder import LEGS, Told
from asyncdb_bench_attach.timing import Phases

MS = 1_000_000
SECOND = 1_000 * MS


def phases(*headers: str, same_clock: bool = True) -> dict[str, Any]:
    """Return the columns of requests sent 1 ms late and answered 100 ms after they were due."""
    told, every = Told(same_clock=same_clock), np.ones(len(headers), np.int64)
    for place, header in enumerate(headers):
        told.note(place, header)
    return told.phases(every * (SECOND + MS), every * (SECOND + 100 * MS))


def header(began_ns: int, total_ms: float = 60) -> str:
    found = Phases()
    found.queue, found.pool, found.database, found.reply = 10 * MS, 5 * MS, 20 * MS, 2 * MS
    found.held, found.run = 25 * MS, 40 * MS
    _, _, rest = found.header().partition(", queue")
    return f'handler;desc="{began_ns}";dur={total_ms:.3f}, queue{rest}'


def test_the_phases_of_one_clock_add_up_to_the_time_from_the_send() -> None:
    columns = phases(header(SECOND + 21 * MS))
    assert {name: int(column[0]) for name, column in columns.items()} == {
        "arrival": 20_000,
        "queue": 10_000,
        "pool": 5_000,
        "database": 20_000,
        "python": 23_000,
        "reply": 2_000,
        "back": 19_000,
        "held": 25_000,
        "run": 40_000,
    }
    assert sum(int(columns[name][0]) for name in LEGS) == 99_000


def test_another_machines_clock_leaves_both_ways_as_one() -> None:
    for began, same_clock in ((5, True), (500 * SECOND, True), (SECOND + 21 * MS, False)):
        columns = phases(header(began), same_clock=same_clock)
        assert columns["arrival"][0] == -1, "not known"
        assert columns["back"][0] == 39_000
        assert sum(int(columns[name][0]) for name in LEGS if name != "arrival") == 99_000


def test_what_is_not_told_is_not_known() -> None:
    columns = phases("", "cdn-cache;desc=HIT", header(SECOND + 21 * MS))
    assert columns["database"].tolist() == [-1, -1, 20_000]
    assert columns["back"].tolist() == [-1, -1, 19_000]
