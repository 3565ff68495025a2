"""The conformance suite over task queues beside Celery, and what becomes of their tasks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.remote import RemoteError
from asyncdb_bench.extensions.check.conformance import CHECKS, WORK, Subject, findings_of
from asyncdb_bench.extensions.check.conformance_work import TYPED
from asyncdb_bench.measure.family import Family
from asyncdb_bench.measure.launch import Launch
from asyncdb_bench.plan.registry import groups, make_scenario, strategy_class
from asyncdb_bench.plan.request import Spec, parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices

BUDGET = 3
ROOT = Path(__file__).parents[2]
HERE = [each for each in groups("strategies")["queues"] if not strategy_class(each).apart]
APART = [each for each in groups("strategies")["queues"] if strategy_class(each).apart]

pytestmark = pytest.mark.services


def conforms(request: str, services: RunningServices) -> None:
    (spec,) = parse_specs(request)
    # what is done with abandoned requests is the application's, and tried with its own strategies
    findings = list(findings_of(make_variant(spec, BUDGET), services, ()))
    assert len(findings) == len(CHECKS) + 1
    assert [each for each in findings if each.problem] == []


@pytest.mark.parametrize("name", HERE)
def test_over_redis_or_postgresql(name: str, valkey: RunningServices) -> None:
    conforms(name, valkey)


def test_taskiq_over_rabbitmq(rabbitmq: RunningServices) -> None:
    conforms("taskiq:over=rabbitmq:worker_processes=2", rabbitmq)


@pytest.mark.parametrize("name", APART)
def test_in_an_environment_apart(name: str) -> None:
    command = [sys.executable, "bench.py", "check", name]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"{name}: conforms" in said.stdout


async def asked(subject: Subject, queue: str, cases: list[tuple[Operation, Params]]) -> list[Any]:
    strategy = subject.make(queue)
    await strategy.open()
    try:
        given = [strategy.run(operation, params) for operation, params in cases]
        return await asyncio.gather(*given, return_exceptions=True)
    finally:
        await strategy.close()


@pytest.mark.parametrize("name", HERE)
def test_a_large_result_arrives_and_an_error_as_what_it_is(
    name: str, valkey: RunningServices, tmp_path: Path
) -> None:
    (spec,) = parse_specs(name)
    variant, queue = make_variant(spec, BUDGET), f"large-{name}-{time.time_ns()}"
    database = valkey.clone(make_scenario(WORK, {}).workload().data, f"large_{time.time_ns()}")
    work = plan_scenario(Spec(WORK, {}), {})
    family = Family(Launch(variant, (work,), "large", queue, 30.0), tmp_path)
    subject = Subject(variant, valkey, database)
    echo = next(operation for operation, value in TYPED if isinstance(value, str))
    large = "ü" * 1_000_000
    try:
        family.start_workers(valkey, database)
        cases: list[tuple[Operation, Params]] = [
            (echo, {"value": large}),
            (subject.operations["wrong_sql"], {}),
        ]
        answer, error = asyncio.run(asked(subject, queue, cases))
    finally:
        family.stop(0)
        subject.engine.dispose()
        valkey.clean(queue)
        valkey.drop(database)
    assert not isinstance(answer, Exception), answer
    assert answer["value"] == large
    assert isinstance(error, RemoteError)
    assert "division by zero" in str(error)
