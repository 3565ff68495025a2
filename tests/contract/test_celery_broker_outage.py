"""A broker that stalls or restarts: the loop never waits, and the way back is short."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncdb_bench.contract.strategy import Strategy
from asyncdb_bench.errors import UnavailableError
from asyncdb_bench.extensions.check.conformance import TIMEOUT_S, WORK, Subject
from asyncdb_bench.measure.family import Family
from asyncdb_bench.measure.launch import (
    Launch,
)
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services.running import RunningServices
from tests.factories import scratch_folder

pytestmark = pytest.mark.services

LONGEST_BLOCK_S = 0.5
"""Far below the seconds that a way which waits on the broker blocks for, far above noise."""
PATIENCE_S = 60.0


@pytest.fixture(params=["celery", "celery_aio"])
def opened(
    request: pytest.FixtureRequest, postgres: RunningServices, tmp_path: Path
) -> Iterator[tuple[Subject, Family, brokers.Node, Path, str]]:
    """A strategy's workers over a RabbitMQ node of the test's own."""
    server = brokers.find_rabbitmq()
    if server is None:
        pytest.skip("rabbitmq-server is not installed")
    folder = scratch_folder("outage")
    node = brokers.new_node()
    running = brokers.start_rabbitmq(server, folder, tmp_path, node)
    postgres.broker_server = running
    variant = make_variant(Spec(request.param, {}), 2)
    database = postgres.clone(make_scenario(WORK, {}).workload().data, f"outage_{request.param}")
    queue = f"outage-{request.param}"
    asked = plan_scenario(Spec(WORK, {}), {})
    family = Family(Launch(variant, (asked,), "outage", queue, TIMEOUT_S), tmp_path)
    bench = Subject(variant, postgres, database)
    try:
        family.start_workers(postgres, database)
        yield bench, family, node, folder, queue
    finally:
        family.stop(0)
        bench.engine.dispose()
        assert postgres.broker_server is not None
        postgres.broker_server.stop()
        postgres.broker_server = None
        postgres.drop(database)
        shutil.rmtree(folder)


def working_s() -> float:
    """Return for how long the threads of this process have run or have waited for a core."""
    told = [each.read_text().split() for each in Path("/proc/self/task").glob("*/schedstat")]
    return sum(int(ran) + int(waited) for ran, waited, _ in told) / 1e9


class LoopWatch:
    """Notes the longest time for which the loop did not turn, though nothing here was at work.

    Where other work holds the cores, a loop that waits for nobody does not turn either.
    """

    async def __aenter__(self) -> LoopWatch:
        self.longest_s = 0.0
        self._task = asyncio.ensure_future(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            before, worked = time.monotonic(), working_s()
            await asyncio.sleep(0.005)
            still_s = time.monotonic() - before - (working_s() - worked)
            self.longest_s = max(self.longest_s, still_s)


async def ask_all(bench: Subject, strategy: Strategy[Any], count: int) -> list[Any]:
    read = bench.operations["read"]
    calls = (strategy.run(read, {"account": n + 1}) for n in range(count))
    return list(await asyncio.gather(*calls, return_exceptions=True))


def waiting(strategy: Any) -> int:
    return int(strategy.gauges()["pending"])


def test_a_broker_that_stalls_and_one_that_restarts(
    opened: tuple[Subject, Family, brokers.Node, Path, str],
) -> None:
    bench, _, node, folder, queue = opened
    server = brokers.find_rabbitmq()
    assert server is not None

    async def story() -> None:
        strategy = bench.make(queue)
        await strategy.open()
        try:
            assert all(isinstance(each, dict) for each in await ask_all(bench, strategy, 20))
            stopped = _broker_processes(bench.services)
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            try:
                async with LoopWatch() as watch:
                    answers = await ask_all(bench, strategy, 300)
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            assert all(isinstance(each, UnavailableError) for each in answers)
            assert watch.longest_s < LONGEST_BLOCK_S
            assert waiting(strategy) == 0
            await answers_again(bench, strategy)
            assert bench.services.broker_server is not None
            async with LoopWatch() as watch:
                await asyncio.to_thread(bench.services.broker_server.stop)
                answers = await ask_all(bench, strategy, 50)
                assert all(isinstance(each, UnavailableError) for each in answers)
                bench.services.broker_server = await asyncio.to_thread(
                    brokers.start_rabbitmq, server, folder, folder, node
                )
                await answers_again(bench, strategy)
            assert watch.longest_s < LONGEST_BLOCK_S
            assert waiting(strategy) == 0
        finally:
            await strategy.close()

    asyncio.run(story())


async def answers_again(bench: Subject, strategy: Strategy[Any]) -> None:
    """Ask every 0.1 s, each time anew, until one is answered."""
    asked: list[asyncio.Future[Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while not any(each.done() and each.exception() is None for each in asked):
            read = strategy.run(bench.operations["read"], {"account": 1})
            asked.append(asyncio.ensure_future(read))
            await asyncio.sleep(0.1)
    await asyncio.gather(*asked, return_exceptions=True)


def _broker_processes(services: RunningServices) -> list[int]:
    pids = services.roles()["broker"]
    return [
        each.pid
        for pid in pids
        for each in psutil.Process(pid).children(recursive=True)
        if "beam" in each.name()
    ]
