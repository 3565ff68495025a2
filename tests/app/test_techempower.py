"""TechEmpower's four database tests under every strategy, held to the checks of its verifier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

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
FOUR = f"{Path(__file__).parents[1] / 'plugins' / 'four_tests.py'}:FourTests"
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
    asked = plan_scenario(Spec(FOUR, {}), {})
    launch = Launch(variant, (asked,), name, f"{name}-{os.getpid()}", TIMEOUT_S)
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


@pytest.mark.parametrize("scenario", ["db", "queries", "updates", "fortunes"])
def test_a_built_in_scenario_serves_its_route_by_the_command_line(
    scenario: str, bench: Bench
) -> None:
    with bench.serving("native", "--scenario", scenario) as (port, said):
        assert f"http://127.0.0.1:{port}/{scenario}" in said
        if scenario == "fortunes":
            assert theirs.fortunes_problems(port) == []
        elif scenario == "db":
            assert theirs.db_problems(port) == []
        else:
            assert theirs.cases_problems(port, f"/{scenario}") == []


def test_the_tables_have_the_rows_that_they_ask_for(postgres: RunningServices) -> None:
    from asyncdb_bench.contract.data.worlds import FORTUNE, WORLD

    for data, table, rows in ((WORLD, "world", 10_000), (FORTUNE, "fortune", 12)):
        url = postgres.clone(data, f"te_rows_{table}")
        try:
            with psycopg.connect(url) as connection:
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
