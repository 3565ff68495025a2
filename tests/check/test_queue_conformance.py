"""The conformance suite over task queues beside Celery, and what becomes of their tasks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asyncdb_bench.extensions.check.conformance import CHECKS, findings_of
from asyncdb_bench.plan.registry import groups, strategy_class
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant
from asyncdb_bench.services.running import RunningServices

BUDGET = 3
ROOT = Path(__file__).parents[2]
HERE = [each for each in groups("strategies")["queues"] if not strategy_class(each).apart]
APART = [each for each in groups("strategies")["queues"] if strategy_class(each).apart]

pytestmark = pytest.mark.services


def conforms(request: str, services: RunningServices) -> None:
    (spec,) = parse_specs(request)
    findings = list(findings_of(make_variant(spec, BUDGET), services))
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
