"""The application over HTTP: answers, and every kind of refusal, in JSON."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from asyncdb_bench.contract.data.accounts import balance_of
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import (
    Launch,
    Processes,
)
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.processes.child import Child
from asyncdb_bench.services.running import RunningServices
from tests.waiting import eventually

pytestmark = pytest.mark.services


@contextmanager
def serving(
    request: str, services: RunningServices, logs: Path, **changes: Any
) -> Iterator[Processes]:
    (spec,) = parse_specs(request)
    asked = plan_scenario(Spec("mixed", {"rows": "1000"}), {})
    name = f"app_{abs(hash((request, str(logs)))) % 10**8}"
    values: dict[str, Any] = {"timeout_s": 3.0} | changes
    launch = Launch(make_variant(spec, 2), (asked,), name, name, **values)
    with launched(launch, services, logs) as processes:
        yield processes


def ask(port: int, path: str, body: Any = None) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def port(postgres: RunningServices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving("native", postgres, tmp_path_factory.mktemp("app")) as processes:
        yield processes.port


def test_it_answers(port: int) -> None:
    status, answer = ask(port, "/op/read", {"account": 7})
    assert (status, answer) == (200, {"id": 7, "owner": "owner-007", "balance": balance_of(7)})
    assert ask(port, "/healthz") == (200, {"status": "ok"})
    status, routes = ask(port, "/")
    assert routes["POST /op/slow"]["params"] == ["account", "seconds"]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/op/read", {"account": "x"}, 400, "read: Expected `int`, got `str`"),
        ("/op/read", {"account": 1, "b": 2}, 400, "unknown field `b`"),
        ("/op/read", {}, 400, "missing required field `account`"),
        ("/op/read", b"{", 400, "read: "),
        ("/op/write", {"counter": 0, "amount": 1}, 400, ">= 1"),
        ("/op/nothing", {}, 404, "unknown operation 'nothing'; known: read, write, slow"),
        ("/elsewhere", {}, 404, "no route /elsewhere"),
        ("/op/read", None, 405, "Method Not Allowed"),
        ("/op/read", {"account": 999_999}, 500, "NoResultFound"),
    ],
)
def test_it_refuses(port: int, path: str, body: Any, status: int, says: str) -> None:
    code, answer = ask(port, path, body)
    assert code == status
    assert says in answer["error"]
    assert answer["status"] == status


def test_a_request_that_takes_too_long_gets_504(port: int) -> None:
    status, answer = ask(port, "/op/slow", {"account": 1, "seconds": 10})
    assert (status, answer["error"]) == (504, "no answer within 3 s")


@pytest.mark.parametrize("strategy", ["native", "executor"])
def test_an_exhausted_pool_or_queue_ends_in_503_or_504_and_recovers(
    strategy: str, postgres: RunningServices, tmp_path: Path
) -> None:
    with serving(strategy, postgres, tmp_path, timeout_s=1.0) as processes:
        with ThreadPoolExecutor(12) as threads:
            slow = {"account": 1, "seconds": 0.7}
            found = list(threads.map(lambda _: ask(processes.port, "/op/slow", slow), range(12)))
        codes = {status for status, _ in found}
        assert codes <= {200, 503, 504}
        assert codes & {503, 504}
        assert eventually(lambda: ask(processes.port, "/op/read", {"account": 1})[0] == 200, 10)


@pytest.mark.parametrize("strategy", ["blocking", "executor", "native"])
def test_a_database_that_is_gone_gives_503_and_comes_back_by_itself(
    strategy: str, postgres: RunningServices, tmp_path: Path
) -> None:
    with serving(strategy, postgres, tmp_path) as processes:
        name = make_url(processes.database).database
        with psycopg.connect(postgres.postgres.url, autocommit=True) as admin:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            admin.execute(kill, [name])
            for _ in range(3):
                status, answer = ask(processes.port, "/op/read", {"account": 1})
                assert status == 503, answer
                assert "database" in answer["error"]
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        assert eventually(lambda: ask(processes.port, "/op/read", {"account": 1})[0] == 200, 5)


def test_a_taken_port_is_refused(port: int, postgres: RunningServices, tmp_path: Path) -> None:
    with (
        pytest.raises(ServiceError, match=f"cannot listen on 127.0.0.1:{port}"),
        serving("blocking", postgres, tmp_path, port=port),
    ):
        pass


def test_the_application_ends_when_its_parent_is_gone(
    postgres: RunningServices, tmp_path: Path
) -> None:
    with serving("blocking", postgres, tmp_path) as processes:
        app = processes.apps[0]
        assert isinstance(app, Child)
        process = psutil.Process(app.pid)
        assert app.popen.stdin is not None
        app.popen.stdin.close()
        assert eventually(lambda: app.popen.poll() is not None, 6)
        assert not process.is_running()
