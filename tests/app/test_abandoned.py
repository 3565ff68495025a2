"""Requests that nobody waits for any more: what the database still does, and what comes next."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from asyncdb_bench.app.admission import WAITING, Admission, own_timeout_s
from asyncdb_bench.contract.data.accounts import balance_of
from asyncdb_bench.contract.knob import make_knobs
from asyncdb_bench.contract.route import REQUEST_TIMEOUT
from asyncdb_bench.contract.strategy import Context
from asyncdb_bench.errors import KnobError
from asyncdb_bench.extensions.check.failing_proxy import FailingProxy, tcp_target
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch, Processes
from asyncdb_bench.plan.registry import make_scenario, strategy_class
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench_attach.timing import Phases, current
from tests.waiting import eventually

POOL = 2
LONG_S = 30.0
"""A query that would outlast a test."""


@contextmanager
def serving(request: str, services: RunningServices, logs: Path) -> Iterator[Processes]:
    (spec,) = parse_specs(request)
    asked = plan_scenario(Spec("mixed", {"rows": "1000"}), {})
    name = f"abandoned_{abs(hash((request, str(logs)))) % 10**8}"
    launch = Launch(make_variant(spec, POOL), (asked,), name, name, 60.0)
    with launched(launch, services, logs) as processes:
        yield processes


def sent(port: int, path: str, body: dict[str, Any], timeout_ms: str = "") -> socket.socket:
    """Send a request and return its connection, from which nothing was read."""
    content = json.dumps(body).encode()
    own = f"{REQUEST_TIMEOUT}: {timeout_ms}\r\n" if timeout_ms else ""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{own}Content-Length: {len(content)}\r\n\r\n"
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(head.encode() + content)
    return client


def answer(client: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Return status, headers and body of what a connection receives, and close it."""
    with client, client.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        return status, headers, json.loads(file.read(int(headers["Content-Length"])))


def ask(port: int, path: str, body: dict[str, Any], timeout_ms: str = "") -> tuple[int, Any]:
    status, _, found = answer(sent(port, path, body, timeout_ms))
    return status, found


def slow(seconds: float, account: int = 1) -> dict[str, Any]:
    return {"account": account, "seconds": seconds}


class Watched:
    """What a database's backends do."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)

    def busy(self) -> int:
        return len(self.pids("state <> 'idle'"))

    def pids(self, where: str = "true") -> set[int]:
        found = self.connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            f" AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND {where}"
        )
        return {pid for (pid,) in found}


@contextmanager
def watched(url: str) -> Iterator[Watched]:
    found = Watched(url)
    try:
        yield found
    finally:
        found.connection.close()


ENDING = ["native:abandon=cancel", "executor:abandon=query", "psycopg_async:abandon=query"]


@pytest.mark.services
@pytest.mark.parametrize("request_", ENDING)
def test_a_query_ends_when_its_client_leaves_and_when_its_time_is_over(
    request_: str, postgres: RunningServices, tmp_path: Path
) -> None:
    with serving(request_, postgres, tmp_path) as app, watched(app.database) as database:
        before = database.pids()
        clients = [sent(app.port, "/op/slow", slow(LONG_S)) for _ in range(POOL)]
        assert eventually(lambda: database.busy() == POOL, 20)
        for each in clients:
            each.close()
        assert eventually(lambda: database.busy() == 0, 20)
        assert ask(app.port, "/op/slow", slow(LONG_S), "300")[0] == 504
        assert eventually(lambda: database.busy() == 0, 20)
        for account in range(1, 5):
            status, found = ask(app.port, "/op/read", {"account": account})
            assert (status, found["balance"]) == (200, balance_of(account))
        if "query" in request_:
            assert database.pids() == before, "each connection was kept"


@pytest.mark.services
@pytest.mark.parametrize("name", ["native", "executor"])
def test_the_server_ends_a_query_when_its_time_is_over_and_the_connection_stays(
    name: str, postgres: RunningServices, tmp_path: Path
) -> None:
    with (
        serving(f"{name}:abandon=statement", postgres, tmp_path) as app,
        watched(app.database) as database,
    ):
        before = database.pids()
        status, found = ask(app.port, "/op/slow", slow(LONG_S), "300")
        assert status == 504, found
        assert eventually(lambda: database.busy() == 0, 20)
        assert ask(app.port, "/op/write", {"counter": 1, "amount": 1})[0] == 200
        assert database.pids() == before


@pytest.mark.services
def test_without_more_a_query_runs_on_when_its_client_leaves(
    postgres: RunningServices, tmp_path: Path
) -> None:
    with serving("native", postgres, tmp_path) as app, watched(app.database) as database:
        client = sent(app.port, "/op/slow", slow(1.5))
        assert eventually(lambda: database.busy() == 1, 20)
        client.close()
        time.sleep(0.3)
        assert database.busy() == 1
        assert ask(app.port, "/op/slow", slow(LONG_S), "300")[0] == 504
        assert eventually(lambda: database.busy() == 0, 20)


@pytest.mark.services
def test_only_the_wait_is_bounded(postgres: RunningServices, tmp_path: Path) -> None:
    with serving("native:abandon=wait", postgres, tmp_path) as app:
        first = [sent(app.port, "/op/slow", slow(1.5), "300") for _ in range(POOL)]
        time.sleep(0.1)
        status, found = ask(app.port, "/op/read", {"account": 1}, "300")
        assert status == 504
        assert "no connection came free" in found["error"]
        assert [answer(each)[0] for each in first] == [200, 200], "they were let in"


@pytest.mark.services
@pytest.mark.parametrize("name", ["native", "executor"])
def test_what_would_wait_long_is_refused(
    name: str, postgres: RunningServices, tmp_path: Path
) -> None:
    with serving(f"{name}:abandon=refuse", postgres, tmp_path) as app:
        many = POOL * (1 + WAITING)
        clients = [sent(app.port, "/op/slow", slow(0.4)) for _ in range(many + 3)]
        answers = [answer(each) for each in clients]
        assert sorted(status for status, _, _ in answers) == [200] * many + [503] * 3
        refused = [headers for status, headers, _ in answers if status == 503]
        assert [each["Retry-After"] for each in refused] == ["1"] * 3


@pytest.mark.parametrize("said", ["x", "0", "-1", "nan", "inf"])
def test_a_time_out_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=f"{REQUEST_TIMEOUT}: '{said}' is no number"):
        own_timeout_s(said, 5.0)
    assert own_timeout_s(None, 5.0) == own_timeout_s("60000", 5.0) == 5.0
    assert own_timeout_s("250", 5.0) == 0.25


@pytest.mark.services
def test_sockets_that_are_left_cost_no_descriptor(
    postgres: RunningServices, tmp_path: Path
) -> None:
    """Some leave before the first byte, some amid a request, some while it is worked on."""
    name = "native:abandon=cancel"
    with serving(name, postgres, tmp_path) as app, watched(app.database) as database:
        process = psutil.Process(app.apps[0].pid)
        assert ask(app.port, "/op/read", {"account": 1})[0] == 200
        before = process.num_fds()
        for number in range(500):
            client = socket.create_connection(("127.0.0.1", app.port), timeout=60)
            if number % 3:
                client.sendall(b"POST /op/read HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n")
            if number % 3 == 2:
                client.sendall(b'{"account":1}')
            client.close()
        assert eventually(lambda: process.num_fds() <= before + 2, 30)
        assert eventually(lambda: database.busy() == 0, 30)
        assert ask(app.port, "/op/read", {"account": 2})[1]["balance"] == balance_of(2)
        assert len(database.pids()) <= POOL
    log = "".join(each.read_text() for each in tmp_path.glob("*.log"))
    assert log == ""


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("blocking:abandon=cancel", "a loop that waits for the database hears of nothing"),
        ("executor:abandon=cancel", "goes on when the handler is cancelled"),
        ("native:abandon=query", "native can run, wait, refuse, cancel, statement"),
        ("processes:abandon=query", "it has no connection of psycopg's"),
        ("native:abandon=expire", "it sends no messages"),
        ("blocking:abandon=refuse", "the loop serves one at a time"),
        ("native:abandon=statement:autocommit=true", "leave one of them out"),
        ("native:abandon=never", "is not one of run, cancel"),
    ],
)
def test_what_a_strategy_cannot_do_it_refuses(asked: str, says: str) -> None:
    (spec,) = parse_specs(asked)
    with pytest.raises(KnobError, match=says):
        make_variant(spec, POOL)


@contextmanager
def opened(
    request: str, database: str, operations: dict[str, Any], loop: asyncio.Runner
) -> Iterator[Any]:
    """Lend a strategy that is open on a database."""
    (spec,) = parse_specs(request)
    variant = make_variant(spec, POOL)
    cls = strategy_class(variant.strategy)
    knobs = make_knobs(cls.Knobs, variant.knobs, owner=cls.name, budget=POOL)
    strategy = cls(knobs, Context(database, operations, timeout_s=60.0))
    try:
        loop.run(strategy.open())
        yield strategy
    finally:
        loop.run(strategy.close())


@pytest.mark.services
def test_a_server_that_forbids_cancelling_is_told_once_and_costs_nothing(
    postgres: RunningServices, caplog: pytest.LogCaptureFixture
) -> None:
    """As before a pooler: connections beyond the pool's, as a cancel request's is, are closed."""
    workload = make_scenario("mixed", {"rows": 1000}).workload()
    database = postgres.clone(workload.data, "abandoned_forbidden")
    host, port = tcp_target(database) or ("", 0)
    with (
        FailingProxy(host, port, permits=POOL) as proxy,
        asyncio.Runner() as loop,
        opened("executor:abandon=query", proxy.url(database), dict(workload.operations), loop) as s,
        watched(database) as seen,
    ):
        before = seen.pids()

        async def given_up(seconds: float) -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await s.run(workload.operations["slow"], slow(seconds))

        for _ in range(2):
            loop.run(given_up(2.0))
            assert eventually(lambda: seen.busy() == 0, 20)
        read = s.run(workload.operations["read"], {"account": 3})
        assert loop.run(read)["balance"] == balance_of(3)
        assert seen.pids() == before
    told = [each.message for each in caplog.records if "abandon=query" in each.message]
    assert len(told) == 1, told
    postgres.drop(database)


@pytest.mark.services
def test_what_is_abandoned_is_counted(postgres: RunningServices) -> None:
    workload = make_scenario("mixed", {"rows": 1000}).workload()
    database = postgres.clone(workload.data, "abandoned_counted")
    operations = dict(workload.operations)

    async def given_up(strategy: Any) -> None:
        current.set(Phases())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await strategy.run(operations["slow"], slow(1.5))

    with asyncio.Runner() as loop, opened("executor", database, operations, loop) as strategy:
        loop.run(given_up(strategy))
        assert strategy.gauges()["threads_abandoned"] == 1
        assert eventually(lambda: strategy.gauges()["threads_abandoned"] == 0, 20)
    with asyncio.Runner() as loop, opened("native:abandon=refuse", database, operations, loop) as s:
        admission = Admission(s)
        loop.run(given_up(admission))
        assert admission.gauges()["abandoned_running"] == 1
    postgres.drop(database)


@pytest.mark.services
def test_work_that_is_cancelled_at_any_moment_costs_no_connection(
    postgres: RunningServices, caplog: pytest.LogCaptureFixture
) -> None:
    """Between checkout and statement, in a statement, before and in COMMIT."""
    workload = make_scenario("mixed", {"rows": 1000}).workload()
    database = postgres.clone(workload.data, "abandoned_moments")
    with (
        asyncio.Runner() as loop,
        opened("executor:abandon=query", database, dict(workload.operations), loop) as strategy,
        watched(database) as seen,
    ):
        before = seen.pids()
        write, draw = workload.operations["write"], random.Random(7)

        async def some(times: int) -> None:
            for _ in range(times):
                work = [
                    asyncio.ensure_future(strategy.run(write, {"counter": each, "amount": 1}))
                    for each in (1, 2, 3)
                ]
                await asyncio.sleep(draw.uniform(0, 0.008))
                for each in work:
                    each.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                # what follows on the same connections knows nothing of it
                await strategy.run(write, {"counter": 4, "amount": 1})

        loop.run(some(60))
        assert eventually(lambda: seen.busy() == 0, 20)
        assert seen.pids() == before
        found = seen.connection.execute("SELECT entries FROM counter WHERE id = 4").fetchone()
        assert found == (60,)
    assert caplog.records == []
    postgres.drop(database)
