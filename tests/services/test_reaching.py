"""How services are reached: far away, behind a pooler, encrypted; each as a client sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from asyncdb_bench.contract.data.accounts import Account, StandardData, balance_of
from asyncdb_bench.contract.engine import make_async_engine, make_engine
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.plan import Reach
from asyncdb_bench.services.distances import asking, database_round_trips, median_ms, timed
from asyncdb_bench.services.postgres import find_programs
from asyncdb_bench.services.reaching import Between, find_pooler
from asyncdb_bench.services.running import RunningServices
from tests.conftest import start_valkey
from tests.waiting import eventually

pytestmark = pytest.mark.services
FAR, FARTHER = Reach(rtt_ms=2.0, broker_rtt_ms=6.0), Reach(rtt_ms=6.0)
POOLED = Reach(rtt_ms=2.0, via="pgbouncer")
SECRET = Reach(tls=True)
NOWHERE = Reach(rtt_ms=0.001)
"""Nearer than anything can be."""
PATIENCE_S = 60.0
AT_LEAST = 0.5
"""Of the round trip that was asked for: what wakeups took while the proxy was calibrated is taken
off the delay, and that may have been in a busy moment."""


@pytest.fixture(scope="module")
def services() -> Iterator[RunningServices]:
    reaches = [FAR, FARTHER, NOWHERE]
    reaches += [POOLED] if find_pooler() else []
    reaches += [SECRET] if find_programs(tls=True) else []
    with tempfile.TemporaryDirectory() as logs:
        between = Between(tuple(reaches), pooled=4)
        made = RunningServices(
            Path(logs), "asyncdb_bench_reach", with_broker=True, environment={}, between=between
        )
        made._start_broker = lambda: start_valkey(Path(logs))  # type: ignore[method-assign]
        with made:
            yield made


@pytest.fixture(scope="module")
def database(services: RunningServices) -> str:
    return services.clone(StandardData(100), "reached")


def test_the_round_trip_is_set_for_connections_that_are_open(
    services: RunningServices, database: str
) -> None:
    with asking(services.reached(database, FAR, through=True)) as ask:
        for reach in (FAR, FARTHER, FAR):
            services.set_reach(reach)
            assert median_ms(timed(ask, 0.1)) >= reach.rtt_ms * AT_LEAST
        services.set_reach(Reach())
        assert eventually(lambda: median_ms(timed(ask, 0.1)) < FARTHER.rtt_ms, PATIENCE_S)


def test_what_there_really_is_is_measured_for_both_services(services: RunningServices) -> None:
    found = services.round_trips(FAR, with_broker=True, through=True)
    assert found["database"] >= FAR.rtt_ms * AT_LEAST
    assert found["broker"] >= FAR.broker_rtt_ms * AT_LEAST
    assert "broker" not in services.round_trips(FAR, with_broker=False, through=True)


def test_what_is_nearer_than_can_be_is_as_near_as_it_is_and_said(
    services: RunningServices,
) -> None:
    assert services.reaching is not None
    found = services.reaching.found[NOWHERE.rtt_ms]
    assert found.delay_ms == 0
    assert found.rtt_ms > NOWHERE.rtt_ms
    (proxy,) = [each for each in services.info() if each.name == "delay"]
    assert proxy.settings["0.001 ms"] == f"{found.rtt_ms:.3f} ms"
    assert services.round_trips(NOWHERE, with_broker=False, through=True)["database"] > 0.001


def test_asyncpg_works_behind_a_pooler_that_changes_connections(
    services: RunningServices, database: str
) -> None:
    if find_pooler() is None:
        pytest.skip("pgbouncer is not installed")

    async def ask() -> list[int]:
        from sqlalchemy import select

        # more clients than the pooler has connections: each transaction may have another one
        engine = make_async_engine(services.reached(database, POOLED, through=True), 12, 10)

        async def one(account: int) -> int:
            async with engine.begin() as connection:
                wanted = select(Account.balance).where(Account.id == account)
                return int((await connection.execute(wanted)).scalar_one())

        try:
            return await asyncio.gather(*(one(1 + n % 100) for n in range(300)))
        finally:
            await engine.dispose()

    assert asyncio.run(ask()) == [balance_of(1 + n % 100) for n in range(300)]


def test_psycopg_works_behind_a_pooler(services: RunningServices, database: str) -> None:
    if find_pooler() is None:
        pytest.skip("pgbouncer is not installed")
    engine = make_engine(services.reached(database, POOLED, through=True), 6, 10)
    try:
        for _ in range(3):
            with engine.connect() as one, engine.connect() as other:
                for _ in range(20):
                    for each in (one, other):
                        with each.begin():
                            each.execute(text("SELECT CAST(:n AS integer)"), {"n": 1})
    finally:
        engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_connection_is_encrypted_where_that_is_asked_for(
    services: RunningServices, database: str, driver: str
) -> None:
    if find_programs(tls=True) is None:
        pytest.skip("no PostgreSQL here was built with OpenSSL")
    encrypted = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

    async def ask(url: str) -> bool:
        engine = make_async_engine(url, 1, 10, driver=driver)
        try:
            async with engine.connect() as connection:
                return bool((await connection.execute(encrypted)).scalar_one())
        finally:
            await engine.dispose()

    assert asyncio.run(ask(services.reached(database, SECRET, through=True)))
    assert not asyncio.run(ask(services.reached(database, FAR, through=True)))


def test_what_lies_between_is_watched_and_starts_anew(
    services: RunningServices, database: str
) -> None:
    part = next(each for each in services.parts(with_broker=False) if "delay" in each.who)
    (proxy,) = [
        each
        for each in psutil.Process(part.pid).children()
        if "guard.py" not in " ".join(each.cmdline())
    ]
    os.kill(proxy.pid, signal.SIGKILL)
    assert eventually(lambda: part.exit_code() is not None, PATIENCE_S)
    with pytest.raises(ServiceError):
        database_round_trips(services.reached(database, FAR, through=True))
    assert services.round_trips(FAR, with_broker=False, through=True) == {}, "no figure, no end"
    services.recover()
    url = services.clone(StandardData(100), "again")
    assert database_round_trips(services.reached(url, FAR, through=True))


def test_without_openssl_tls_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from asyncdb_bench.services import postgres

    monkeypatch.setattr(postgres, "can_encrypt", lambda _: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    between = Between((SECRET,))
    running = RunningServices(tmp_path, "x", with_broker=False, environment={}, between=between)
    with pytest.raises(ServiceError, match="no PostgreSQL here was built with OpenSSL"), running:
        pass
    assert not list(tmp_path.glob("asyncdb-bench-postgres-*")), "nothing is left behind"
