"""Who waits for a connection of SQLAlchemy's async pool, and who goes first: notes of each waiter.

``PYTHONPATH=. .venv/bin/python benchmarks/pool_order.py [--requests 64] [--pool 32] [--seconds 4]``

So many requests are always there; each checks a connection out of a pool on asyncio's own loop,
asks for a row, and gives it back. For each checkout is noted how many that came later were served
before, and how often it was woken in vain; by turns with SQLAlchemy's own queue and with one that
keeps the order (`fair=true`).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from asyncdb_bench.contract.data.accounts import Account, StandardData
from asyncdb_bench.contract.engine import fill_async_pool, make_async_engine
from asyncdb_bench.plan.cores import on_cores, share_out, usable_cores
from asyncdb_bench.services.running import RunningServices

ROUNDS = 3


class Notes:
    """Of each checkout: its wait, who overtook it, and how often it was woken in vain."""

    def __init__(self) -> None:
        self.tickets = itertools.count()
        self.waiting: set[int] = set()
        self.overtaken: dict[int, int] = {}
        self.waits_ms: list[float] = []
        self.overtakings: list[int] = []
        self.woken_in_vain = 0

    def came(self) -> int:
        """Note that a request asks for a connection."""
        ticket = next(self.tickets)
        self.waiting.add(ticket)
        self.overtaken[ticket] = 0
        return ticket

    def served(self, ticket: int, waited_ms: float) -> None:
        """Note that it has one: whoever came earlier and still waits was overtaken."""
        self.waiting.discard(ticket)
        for other in self.waiting:
            if other < ticket:
                self.overtaken[other] += 1
        self.waits_ms.append(waited_ms)
        self.overtakings.append(self.overtaken.pop(ticket))


async def request(engine: AsyncEngine, notes: Notes, until: float) -> None:
    """Ask again and again."""
    number = 1
    while time.monotonic() < until:
        ticket, came = notes.came(), time.monotonic()
        async with engine.connect() as connection:
            notes.served(ticket, (time.monotonic() - came) * 1000)
            await connection.execute(select(Account.balance).where(Account.id == number))
        number = number % 1000 + 1
        # what a handler does besides: the answer is written, the next request read
        await asyncio.sleep(0)


async def measure(url: str, given: argparse.Namespace, fair: bool) -> Notes:
    """Run one turn."""
    engine = make_async_engine(url, given.pool, 30, fair=fair)
    try:
        await fill_async_pool(engine, given.pool)
        notes, woken = Notes(), Woken()
        with woken:
            until = time.monotonic() + given.seconds
            await asyncio.gather(*(request(engine, notes, until) for _ in range(given.requests)))
        notes.woken_in_vain = woken.in_vain
        return notes
    finally:
        await engine.dispose()


class Woken:
    """Counts how often `asyncio.Queue.get` found nothing after it was woken."""

    def __init__(self) -> None:
        self.in_vain = 0

    def __enter__(self) -> None:
        self.original = asyncio.Queue.get
        outer = self

        async def get(queue: Any) -> Any:
            # as in the standard library, with a count where it goes back to the end of the line
            first = True
            while queue.empty():
                if not first:
                    outer.in_vain += 1
                first = False
                getter = queue._get_loop().create_future()
                queue._getters.append(getter)
                try:
                    await getter
                except BaseException:
                    getter.cancel()
                    if getter in queue._getters:
                        queue._getters.remove(getter)
                    if not queue.empty() and not getter.cancelled():
                        queue._wakeup_next(queue._getters)
                    raise
            return queue.get_nowait()

        asyncio.Queue.get = get  # type: ignore[method-assign,assignment]

    def __exit__(self, *_: object) -> None:
        asyncio.Queue.get = self.original  # type: ignore[method-assign]


def main() -> None:
    """Print a line for each turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--pool", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    pinning = share_out("auto", usable_cores())
    print("| pool | checkouts/s | wait p50, p99, max, ms | overtaken by: p50, p99, max | in vain |")
    print("|---|---:|---|---|---:|")
    with (
        tempfile.TemporaryDirectory() as logs,
        on_cores(pinning.of("postgresql")),
        RunningServices(Path(logs), "order", with_broker=False, environment={}) as services,
    ):
        url = services.clone(StandardData(1000), "order")
        for _, fair in itertools.product(range(ROUNDS), (False, True)):
            with on_cores(pinning.of("app")):
                notes = asyncio.run(measure(url, given, fair))
            waits = np.percentile(notes.waits_ms, [50, 99, 100])
            over = np.percentile(notes.overtakings, [50, 99, 100])
            print(
                f"| {'in order' if fair else 'as it is'} |"
                f" {len(notes.waits_ms) / given.seconds:,.0f} |"
                f" {', '.join(f'{each:.1f}' for each in waits)} |"
                f" {', '.join(f'{each:.0f}' for each in over)} |"
                f" {notes.woken_in_vain:,} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
