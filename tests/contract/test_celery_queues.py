"""A Celery queue by two accounts, and what a burst leaves in every strategy's queues."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services.running import RunningServices
from tests.measuring import measure

pytestmark = pytest.mark.services
BURST = "burst:rows=1000:ms=40:before=1:burst=1:after=3"


@pytest.fixture(params=["rabbitmq", "valkey"])
def over(request: pytest.FixtureRequest) -> RunningServices:
    found: RunningServices = request.getfixturevalue(request.param)
    return found


def test_depth_and_time_in_the_queue_agree(over: RunningServices, tmp_path: Path) -> None:
    """Two workers, 40 ms each, 10x of 12/s: tasks pile up in the broker and are worked off."""
    found = measure(
        "celery:workers=2", over, tmp_path, scenario=BURST, ladder=(12,), drain_s=10, timeout_s=10
    )
    (step,) = found.steps
    tasks = step.tasks
    assert tasks is not None
    assert step.ledger.ok == step.ledger.scheduled == 12 + 120 + 36
    assert tasks.depth_peak > 20
    # the broker's own count agrees with the stamps that tasks carry (Little's law)
    assert tasks.in_broker.mean_ms is not None
    by_stamps = tasks.in_broker.mean_ms / 1000 * tasks.in_broker.n / step.lasted_s
    assert tasks.depth_mean == pytest.approx(by_stamps, rel=0.25)
    assert tasks.oldest_ms > 200
    assert tasks.in_broker.n == tasks.in_worker.n == 168
    assert step.backlog is not None
    assert step.backlog.peak >= tasks.depth_peak
    names = {name for each in found.folder.tables("series", ["name"]) for name in
             each["name"].to_pylist()}  # fmt: skip
    assert {"broker_depth", "waiting", "oldest_us"} <= names


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_is_ready_when_its_processes_are(
    pool: str, valkey: RunningServices, tmp_path: Path
) -> None:
    variant = make_variant(Spec("celery", {"pool": pool}), 8)
    name = f"ready-{pool}-{os.getpid()}"
    launch = Launch(variant, (plan_scenario(Spec("read", {}), {}),), name, name, 10.0)
    count = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with (
        launched(launch, valkey, tmp_path) as processes,
        psycopg.connect(processes.database) as connection,
    ):
        assert connection.execute(count).fetchone() == (8,)


@pytest.mark.parametrize("request_text", ["blocking", "executor:threads=2", "native:pool=2"])
def test_hidden_queues_are_measured_alike(
    request_text: str, postgres: RunningServices, tmp_path: Path
) -> None:
    (step,) = measure(request_text, postgres, tmp_path, scenario=BURST, ladder=(8,)).steps
    assert step.ledger.scheduled == 8 + 80 + 24
    assert step.ledger.adds_up
    assert step.backlog is not None
    assert step.backlog.peak > 20, "80 in a second, 25 to 50 can be served"
    assert step.backlog.peak_age_ms > 100
    assert step.backlog.drain_s is not None
    assert 0.1 < step.backlog.drain_s < step.lasted_s, "it was worked off within the step"
    assert step.tasks is None


def test_a_burst_beyond_the_machine_ends_and_is_counted(
    postgres: RunningServices, tmp_path: Path
) -> None:
    """400 queries of 40 ms in a second, of which the loop serves 25: the rest is shed, and told."""
    (step,) = measure(
        "blocking",
        postgres,
        tmp_path,
        scenario=BURST,
        ladder=(40,),
        drain_s=1,
        timeout_s=2,
        outstanding=100,
    ).steps
    ledger = step.ledger
    assert ledger.adds_up
    assert ledger.scheduled == 40 + 400 + 120
    assert ledger.skipped > 0
    assert ledger.skipped + ledger.timeout + ledger.undrained > 100
    assert not step.holds


def test_tasks_whose_time_is_over_are_not_answered(
    rabbitmq: RunningServices, tmp_path: Path
) -> None:
    """One worker against ten times its pace: what it cannot answer in time is given up."""
    found = measure(
        "celery:workers=1", rabbitmq, tmp_path, scenario=BURST, ladder=(20,), timeout_s=0.5
    )
    (step,) = found.steps
    assert step.ledger.timeout > 20
    assert step.ledger.adds_up
    assert step.tasks is not None
    assert step.tasks.in_worker.n <= step.ledger.ok + 2
