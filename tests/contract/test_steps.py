"""Operations of several steps: pauses, reads at once, and a pool that keeps the order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import exc
from sqlalchemy.util.concurrency import greenlet_spawn

from asyncdb_bench.contract.data.posts import page
from asyncdb_bench.contract.fair_pool import FairAsyncPool
from asyncdb_bench.contract.operation import (
    AtOnce,
    Pause,
    Steps,
    Streamed,
    advance,
    drive,
    drive_async,
    operation,
    together,
)
from asyncdb_bench.errors import UnsupportedError
from asyncdb_bench.plan.variants import faulty_operations
from asyncdb_bench.records.plan import Fault
from asyncdb_bench_attach.timing import Phases, current


class Plain:
    """A driver's connection that does nothing."""

    def rollback(self) -> None:
        pass

    def close(self) -> None:
        pass


def fair_pool(connections: int) -> FairAsyncPool:
    return FairAsyncPool(Plain, pool_size=connections, max_overflow=0, timeout=0.05)


def walk(hold: bool) -> Steps:
    one = yield "one"
    paused = yield Pause(0.001, hold)
    both = yield AtOnce(("two", "three"))
    return {"came": [one, paused, *both]}


@pytest.mark.parametrize("hold", [True, False])
def test_a_session_is_given_back_only_where_it_is_not_held(hold: bool) -> None:
    done: list[str] = []

    def execute(statement: str) -> str:
        done.append(statement)
        return statement.upper()

    answer = drive(walk(hold), execute, lambda: done.append("released"))
    assert answer == {"came": ["ONE", None, "TWO", "THREE"]}
    assert done == ["one", *([] if hold else ["released"]), "two", "three"]


def test_an_operation_goes_on_where_it_paused() -> None:
    steps = walk(False)
    assert advance(steps, str.upper) == Pause(0.001, hold=False)
    assert advance(steps, str.upper) == {"came": ["ONE", None, "TWO", "THREE"]}


def test_streamed_rows_come_in_parts_and_in_order() -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import Session

    parts: list[list[int]] = []

    def streamed() -> Steps:
        numbers = text(
            "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t LIMIT 7)"
            " SELECT n FROM t"
        )
        came = yield Streamed(numbers, 3, lambda rows: parts.append([row.n for row in rows]))
        return came

    with Session(create_engine("sqlite://")) as session:
        assert drive(streamed(), session.execute) is None
    assert parts == [[1, 2, 3], [4, 5, 6], [7]]

    async def none(_: Any) -> None:
        raise AssertionError

    with pytest.raises(UnsupportedError, match="does not stream"):
        asyncio.run(drive_async(streamed(), none))


def test_async_reads_run_at_once_where_that_is_offered() -> None:
    under_way = most = 0

    async def execute(statement: str) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return statement.upper()

    async def at_once(statements: tuple[str, ...]) -> list[Any]:
        return await together(execute(each) for each in statements)

    async def both() -> tuple[Any, Any]:
        nonlocal most
        one = await drive_async(walk(True), execute)
        assert most == 1
        return one, await drive_async(walk(False), execute, at_once=at_once)

    one, other = asyncio.run(both())
    assert one == other == {"came": ["ONE", None, "TWO", "THREE"]}
    assert most == 2


def test_the_first_error_ends_the_other_reads() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise ValueError("no")

    async def waits() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("ended")

    async def run() -> None:
        with pytest.raises(ValueError, match="no"):
            await together([waits(), fails()])

    asyncio.run(run())
    assert ended == ["ended"]


def test_reads_at_once_took_as_long_as_the_longest_and_held_all() -> None:
    async def read(database: int) -> None:
        phases = current.get()
        assert phases is not None
        phases.database += database
        phases.held += database

    async def run() -> Phases:
        whole = Phases()
        current.set(whole)
        await together(read(each) for each in (3, 7, 5))
        return whole

    whole = asyncio.run(run())
    assert (whole.database, whole.held) == (7, 15)


def test_most_transactions_may_follow_from_the_parameters() -> None:
    @operation(check=lambda *_: True, transactions=lambda params: params["n"])
    def several(n: int) -> Steps:
        yield n
        return {}

    assert several.most_transactions({"n": 4}) == 4
    assert several.with_steps(several.steps).most_transactions({"n": 4}) == 4


def test_an_operation_without_a_commit_keeps_its_name_beside_an_injected_delay() -> None:
    uncommitted = page.uncommitted()
    assert (uncommitted.name, uncommitted.commits) == ("page_uncommitted", False)
    assert uncommitted.route.path == "/op/page_uncommitted"
    (delayed,) = faulty_operations({uncommitted.name: uncommitted}, Fault(delay_ms=1)).values()
    assert (delayed.name, delayed.route.path) == (uncommitted.name, uncommitted.route.path)
    assert delayed.params_type.__struct_fields__ == page.params_type.__struct_fields__


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 4))
def test_waiters_are_served_in_the_order_in_which_they_came(
    asks: list[bool], connections: int
) -> None:
    """Each item asks (True) or gives back (False); whoever is served must be the first of all."""

    async def run() -> None:
        pool = fair_pool(connections)
        waiting: list[asyncio.Task[Any]] = []
        served: list[int] = []
        held: list[Any] = []

        async def ask(number: int) -> None:
            connection = await greenlet_spawn(pool.connect)
            served.append(number)
            held.append(connection)

        for number, asks_now in enumerate(asks):
            if asks_now:
                waiting.append(asyncio.ensure_future(ask(number)))
            elif held:
                await greenlet_spawn(held.pop().close)
            await asyncio.sleep(0)
        while len(served) < len(waiting):
            if held:
                await greenlet_spawn(held.pop().close)
            await asyncio.sleep(0)
        assert served == sorted(served)
        assert len({id(each.driver_connection) for each in held}) == len(held) <= connections
        for each in held:
            await greenlet_spawn(each.close)

    asyncio.run(run())


def test_who_goes_away_passes_its_connection_on() -> None:
    async def run() -> None:
        pool = fair_pool(1)
        holder = await greenlet_spawn(pool.connect)
        first = asyncio.ensure_future(greenlet_spawn(pool.connect))
        second = asyncio.ensure_future(greenlet_spawn(pool.connect))
        await asyncio.sleep(0)
        await greenlet_spawn(holder.close)
        # it was handed over already, and its task has not run yet
        first.cancel()
        given = await second
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(exc.TimeoutError, match="none came free"):
            await greenlet_spawn(pool.connect)
        await greenlet_spawn(given.close)
        last = await greenlet_spawn(pool.connect)
        await greenlet_spawn(last.close)

    asyncio.run(run())
