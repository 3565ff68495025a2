"""Each bottleneck, driven on purpose: the data must give it its name, whatever the strategy."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from asyncdb_bench.analysis.bottleneck import Diagnosis, diagnose
from asyncdb_bench.analysis.limits import limit
from asyncdb_bench.records.step import Step
from asyncdb_bench.services.running import RunningServices
from tests.factories import manifest
from tests.measure import PINNING, Measured, measure

pytestmark = pytest.mark.services
ODD = "tests/plugins/odd.py"
CONTENDED = "tests/plugins/contended.py:Contended"


def first_of(found: Measured) -> Measured:
    """Return what came of a trial's first attempt."""
    own = [step for step in found.steps if not step.trial.endswith("-again")]
    return Measured(found.variant, own, replace(found.end, failure=""), found.folder)


def named(found: Measured) -> Diagnosis:
    assert not found.end.failure
    assert not found.steps[-1].holds, "it was meant to be too much"
    return diagnose(found.steps, found.variant, PINNING)


@pytest.mark.parametrize(
    ("request_", "scenario", "ladder", "name", "says"),
    [
        # the loop waits in the driver: 1 / 50 ms
        ("blocking", "slow:ms=50,rows=1000", (2, 30), "event loop", "held"),
        # the loop computes: 1 / 8 ms
        (f"{ODD}:Burn:ms=8", "read:rows=1000", (10, 200), "event loop", "its thread used"),
        # 2 threads / 50 ms
        (
            "executor:threads=2",
            "slow:ms=50,rows=1000",
            (2, 60),
            "executor threads",
            "2 threads, busy",
        ),
        # 2 connections / 50 ms, and threads enough
        (
            "executor:threads=8,pool=2",
            "slow:ms=50,rows=1000",
            (2, 60),
            "connection pool",
            "2 connections, checked out",
        ),
        ("native:pool=2", "slow:ms=50,rows=1000", (2, 60), "connection pool", "checked out"),
        # a row that each transaction keeps for 15 ms: 67/s, however many connections
        ("native", CONTENDED, (5, 90), "database", "of 4 connections active"),
    ],
)
def test_each_bottleneck_gets_its_name(
    request_: str,
    scenario: str,
    ladder: tuple[float, ...],
    name: str,
    says: str,
    postgres: RunningServices,
    tmp_path: Path,
) -> None:
    found = named(measure(request_, postgres, tmp_path, scenario=scenario, ladder=ladder))
    assert found.bottleneck == name, found.evidence
    assert says in found.evidence


def test_threads_that_compete_for_the_interpreter(
    postgres: RunningServices, tmp_path: Path
) -> None:
    found = measure("executor:threads=8", postgres, tmp_path, ladder=(20, 3000), budget=8)
    diagnosis = named(found)
    assert diagnosis.bottleneck == "GIL", diagnosis.evidence
    assert "in threads beside the loop" in diagnosis.evidence


def test_workers_that_are_all_busy(valkey: RunningServices, tmp_path: Path) -> None:
    found = measure(
        "celery:workers=2", valkey, tmp_path, scenario="slow:ms=50,rows=1000", ladder=(2, 60)
    )
    diagnosis = named(found)
    assert diagnosis.bottleneck == "workers", diagnosis.evidence
    assert "2 workers, busy" in diagnosis.evidence


@pytest.mark.long
def test_a_broker_that_stalls(valkey: RunningServices, tmp_path: Path) -> None:
    """Tasks wait although the workers have nothing to do."""
    assert valkey.broker_server is not None
    assert valkey.broker_server.program is not None
    family = psutil.Process(valkey.broker_server.program.popen.pid).children()
    (broker,) = [each for each in family if each.name() == "valkey-server"]
    pauses = threading.Thread(target=lambda: None)
    pauses.start()

    def stall() -> None:
        for _ in range(6):
            broker.send_signal(signal.SIGSTOP)
            time.sleep(0.35)
            broker.send_signal(signal.SIGCONT)
            time.sleep(0.05)

    def after_the_first(step: Step) -> None:
        nonlocal pauses
        # a step that is offered again must be calm, or stalled, again
        if (step.offered_rps == 10) != step.repeated:
            pauses.join()
            pauses = threading.Thread(target=stall)
            pauses.start()

    found = measure(
        "celery",
        valkey,
        tmp_path,
        # its objective of 250 ms is missed by the stalls, and not by a slow machine at 10/s
        scenario="slow:ms=5,rows=1000",
        ladder=(10, 20),
        on_step=after_the_first,
        window_s=2.0,
    )
    pauses.join()
    broker.send_signal(signal.SIGCONT)
    assert found.end.lost, "a stop from outside is told, and counts for nothing"
    diagnosis = named(first_of(found))
    assert diagnosis.bottleneck == "broker", diagnosis.evidence


def test_a_client_that_sends_late(postgres: RunningServices, tmp_path: Path) -> None:
    """The load generator is stopped while it should send: the server is not to blame."""

    def after_the_first(step: Step) -> None:
        # what a late client spoiled is offered again, so it must be late again
        if (step.offered_rps == 20) != step.repeated:
            threading.Thread(target=pause).start()

    def pause() -> None:
        (load,) = [
            each
            for each in psutil.Process(os.getpid()).children()
            if "asyncdb_bench.load" in each.cmdline()
        ]
        time.sleep(0.4)
        load.send_signal(signal.SIGSTOP)
        time.sleep(0.8)
        load.send_signal(signal.SIGCONT)

    found = measure("native", postgres, tmp_path, ladder=(20, 60), on_step=after_the_first)
    assert found.end.lost, "a stop from outside is told, and counts for nothing"
    diagnosis = named(first_of(found))
    assert diagnosis.bottleneck == "client", diagnosis.evidence
    assert not found.steps[-1].valid


def test_the_ceiling_is_what_the_demand_permits(postgres: RunningServices, tmp_path: Path) -> None:
    found = measure(
        "native:pool=2", postgres, tmp_path, scenario="slow:ms=50,rows=1000", ladder=(20, 60)
    )
    made = limit(manifest(), found.variant, found.steps, 20.0)
    assert made.ceiling is not None
    assert made.ceiling.resource == "connections"
    # 2 / 50 ms, less what the session does with a connection besides
    assert 25 < made.ceiling.rps < 40
    assert made.ratio == pytest.approx(20 / made.ceiling.rps)
    assert "pool took" in made.explanation
