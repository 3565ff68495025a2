"""Parts that are killed while a step runs, and what the measurement of a deployment says of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncdb_bench.analysis.standing import standing
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial.deployment import measure_deployment
from tests.factories import settings
from tests.measure import PINNING, measure
from tests.waiting import eventually

pytestmark = pytest.mark.services
LONGEST_LAG_MS = 100


def during(folder: Path, seconds: float, what: Callable[[], Any]) -> threading.Thread:
    """Do something so many seconds after the first window of a trial began."""

    def has_begun() -> bool:
        logs = folder.glob("results/*/logs/events.log")
        return any(" window " in each.read_text() for each in logs)

    def then() -> None:
        if eventually(has_begun, 60):
            time.sleep(seconds)
            what()

    thread = threading.Thread(target=then)
    thread.start()
    return thread


def children_of(module: str) -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if module in " ".join(each.cmdline())
    ]


@pytest.mark.long
@pytest.mark.parametrize("request_text", ["celery", "celery_aio"])
def test_a_broker_that_restarts_within_a_step_is_an_outage_with_an_end(
    request_text: str, rabbitmq: RunningServices, tmp_path: Path
) -> None:
    timer = during(tmp_path, 1.0, lambda: rabbitmq.restart("broker"))
    found = measure(
        request_text,
        rabbitmq,
        tmp_path,
        ladder=(20,),
        window_s=18.0,
        window_max_s=18.0,
        timeout_s=3,
    )
    timer.join()
    step, again = found.steps
    assert any(doubt.breaking for doubt in step.reasons), "it is told, and counts for nothing"
    assert standing(found.steps, found.folder.trials()) == [again]
    assert again.ledger.ok == again.ledger.scheduled
    assert step.ledger.adds_up
    assert step.ledger.ok > 100
    assert step.ledger.error > 20
    assert {status[:3] for status in step.errors} <= {"503", "504"}
    assert step.outages
    assert all(each.seconds is not None for each in step.outages), "it answers again"
    assert sum(each.failed for each in step.outages) > 20
    assert (step.loop_lag.p99_ms or 0) < LONGEST_LAG_MS, "the loop went on"


@pytest.mark.long
def test_a_worker_child_killed_in_the_middle_of_a_task_costs_that_task(
    valkey: RunningServices, tmp_path: Path
) -> None:
    def kill() -> None:
        (main,) = [
            each
            for each in children_of("asyncdb_bench.app.celery_worker")
            if each.parent() == psutil.Process()
        ]
        main.children()[0].kill()

    timer = during(tmp_path, 4.0, kill)
    found = measure(
        "celery:workers=2",
        valkey,
        tmp_path,
        scenario="slow:ms=200:rows=1000",
        ladder=(8,),
        window_s=10.0,
        window_max_s=10.0,
        timeout_s=2,
    )
    timer.join()
    step, again = found.steps
    assert "a child of celery:workers=2 (worker0)" in step.reasons[0].subject
    assert standing(found.steps, found.folder.trials()) == [again]
    assert step.ledger.adds_up
    assert step.ledger.scheduled == 80
    assert step.ledger.ok > 40
    assert (step.loop_lag.p99_ms or 0) < LONGEST_LAG_MS


def test_a_deployment_is_measured_with_each_part_killed(
    valkey: RunningServices, tmp_path: Path
) -> None:
    (spec,), (scenario,) = parse_specs("celery:workers=2"), parse_specs("read:rows=1000")
    asked, how = plan_scenario(scenario, {}), settings(timeout_s=2.0)
    variant = make_variant(spec, 2)
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    found = measure_deployment(variant, asked, valkey, tmp_path, how, PINNING)
    assert found.processes == {"app": 1, "workers": 3}
    assert found.servers == ("PostgreSQL", "broker")
    assert found.connections["postgresql"] == 2
    assert found.connections["broker"] >= 2
    assert found.cold_start_s > 0.1
    assert found.rest_mb["app"] > 10
    killed = {each.part: each for each in found.killed}
    assert list(killed) == ["application", "a worker's child", "worker", "broker", "PostgreSQL"]
    assert all(each.back_s is not None for each in found.killed), killed
    assert killed["application"].failed > 0
    assert set(killed["application"].how) == {"no answer"}
    assert killed["worker"].failed > 0
    for part in ("worker", "broker", "PostgreSQL"):
        assert set(killed[part].how) <= {"503", "504"}, killed[part]
        assert (killed[part].health_ms or 0) < 500, "the loop went on"
    time.sleep(0.5)
    after = {each.pid for each in psutil.Process().children(recursive=True)}
    # the services' programs are new ones, under the same guards
    assert len(after) <= len(before) + 1
