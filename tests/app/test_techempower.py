"""TechEmpower's four database tests under every strategy, held to the checks of its verifier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from asyncdb_bench.contract.data.ready_tables import TABLES
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import (
    Launch,
)
from asyncdb_bench.plan.registry import names
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices
from tests.app import techempower as theirs
from tests.command_line import Bench

pytestmark = pytest.mark.services
TIMEOUT_S = 180.0
FOUR = ("db", "queries", "updates", "fortunes")
STRATEGIES = names("strategies")
COUNTED = ("native",)
"""Those with whom CI counts queries under 512 clients; with all: ASYNCDB_BENCH_LONG=1."""


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_their_verifier_has_nothing_to_say(
    strategy: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    variant = make_variant(Spec(strategy, {}), 8)
    over_rabbitmq = bool(variant.brokers) and "redis" not in variant.brokers
    # skipped where RabbitMQ is not installed
    services: RunningServices = request.getfixturevalue("rabbitmq" if over_rabbitmq else "valkey")
    name = f"te-{strategy}"
    asked = tuple(plan_scenario(Spec(each, {}), {}) for each in FOUR)
    launch = Launch(variant, asked, name, f"{name}-{os.getpid()}", TIMEOUT_S)
    counted = strategy in COUNTED or bool(os.environ.get("ASYNCDB_BENCH_LONG"))
    with launched(launch, services, tmp_path) as processes:
        assert list(problems_of(processes.port, processes.database, counted=counted)) == []


def problems_of(port: int, url: str, *, counted: bool) -> Iterator[str]:
    yield from theirs.db_problems(port)
    yield from theirs.fortunes_problems(port)
    for path in ("/queries", "/updates"):
        yield from theirs.cases_problems(port, path)
    yield from theirs.updates_problems(port, url)
    if counted:
        yield from theirs.count_problems(port, url, "/queries", updates=False)
        yield from theirs.count_problems(port, url, "/updates", updates=True)


def test_all_four_are_served_on_one_port_by_the_command_line(bench: Bench) -> None:
    with bench.serving("native", "--scenario", ",".join(FOUR)) as (port, said):
        for scenario in FOUR:
            assert f"http://127.0.0.1:{port}/{scenario}" in said
        assert theirs.fortunes_problems(port) == []
        assert theirs.db_problems(port) == []
        assert theirs.cases_problems(port, "/queries") == []
        assert theirs.cases_problems(port, "/updates") == []


def test_the_tables_have_the_rows_that_they_ask_for(postgres: RunningServices) -> None:
    url = postgres.clone(TABLES, "te_rows")
    try:
        with psycopg.connect(url) as connection:
            for table, rows in {"world": 10_000, "fortune": 12}.items():
                row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
                assert row == (rows,)
    finally:
        postgres.drop(url)


def test_their_checks_find_what_is_wrong() -> None:
    assert theirs.world_problems({"id": 0, "randomNumber": 5})
    assert theirs.world_problems({"id": 1})
    assert theirs.world_problems([1])
    assert theirs.verdict("queries", 100, 101)
    assert theirs.verdict("queries", 107, 101)
    assert not theirs.verdict("queries", 101, 101)
