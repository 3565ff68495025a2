"""Variants behind a pooler: sound, with every driver, in one process and in two."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncdb_bench.contract.data.accounts import StandardData
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.plan import Reach
from asyncdb_bench.services.distances import database_round_trips
from asyncdb_bench.services.program import is_listening
from asyncdb_bench.services.reaching import Between, find_pooler
from asyncdb_bench.services.running import RunningServices
from tests.measuring import Ran, run

pytestmark = pytest.mark.services

NATIVE = "native:via=pgbouncer"
VARIANTS = (
    NATIVE,
    f"{NATIVE}:autocommit=true",
    f"{NATIVE}:processes=2",
    "asyncpg_raw:via=pgbouncer",
    "psycopg_async:via=pgbouncer",
    "executor:via=pgbouncer",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    if find_pooler() is None:
        pytest.skip("pgbouncer is not installed")
    folder = tmp_path_factory.mktemp("pooled")
    between = Between((Reach(via="pgbouncer"),), pooled=4)
    with RunningServices(
        folder, "asyncdb_bench_pooled", with_broker=False, environment={}, between=between
    ) as services:
        yield run(",".join(VARIANTS), services, folder, rounds=1, window_s=1.0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_database_counts_what_the_ledger_says(ran: Ran, variant: str) -> None:
    end = ran.end(variant)
    assert not end.failure
    assert not end.reasons, end.audit
    (pace, *_) = ran.of(variant, "pace")
    assert pace.ledger.ok == pace.ledger.scheduled > 20
    counts = {DoubtKind.TRANSACTIONS, DoubtKind.ROWS, DoubtKind.BUDGET}
    assert not [each for each in pace.reasons if each.kind in counts]


def test_a_server_that_trusts_is_reached_through_it_too(tmp_path: Path) -> None:
    if find_pooler() is None or not is_listening(5432):
        pytest.skip("no pgbouncer, or no PostgreSQL on its standard port")
    between = Between((Reach(via="pgbouncer"),), pooled=2)
    given = {"DATABASE_URL": "postgresql://postgres@127.0.0.1:5432/postgres"}
    name = f"asyncdb_bench_trusted_{time.time_ns()}"
    with RunningServices(
        tmp_path, name, with_broker=False, environment=given, between=between
    ) as services:
        url = services.clone(StandardData(10), "one")
        assert database_round_trips(services.reached(url, between.reaches[0], through=False))
        services.drop(url)
