"""The application as a process: ``python -m asyncdb_bench.app``.

The configuration is the first line of standard input; ``{"event": "ready", "port": …}`` or
``{"event": "failed", …}`` the first of standard output. See :mod:`asyncdb_bench.records.messages`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from tornado.netutil import bind_sockets

from asyncdb_bench.app.admission import Admission
from asyncdb_bench.app.application import make_application
from asyncdb_bench.app.bounded_server import BoundedServer
from asyncdb_bench.app.chat import Rooms, is_chat
from asyncdb_bench.app.process import run_process
from asyncdb_bench.contract.knob import make_knobs
from asyncdb_bench.contract.strategy import Context, Strategy
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.plan.cores import served_operations
from asyncdb_bench.plan.registry import strategy_class
from asyncdb_bench.plan.variants import faulty_operations, faulty_strategy
from asyncdb_bench.records.messages import (
    AppConfig,
    Heartbeats,
    Ready,
    answer_marks,
    decoded_config,
    read_line,
    say,
)
from asyncdb_bench.records.step import HEARTBEAT_US
from asyncdb_bench_attach import timing
from asyncdb_bench_attach.application import Beating

BACKLOG = 4096


def make_strategy(config: AppConfig) -> Strategy[Any]:
    """Return the strategy with its knobs and its context."""
    timing.two_clocks = config.worker_clock_differs
    cls = strategy_class(config.strategy)
    operations = faulty_operations(served_operations(config), config.fault)
    context = Context(
        database_url=config.database_url,
        operations=operations,
        broker=config.broker,
        queue=config.queue,
        timeout_s=config.timeout_s,
        store=config.store,
    )
    strategy = cls(make_knobs(cls.Knobs, config.knobs, owner=cls.name, budget=0), context)
    return faulty_strategy(strategy, config.fault)


async def serve(config: AppConfig) -> int:
    """Serve until told to stop; the strategy is closed whatever happens.

    Returns
    -------
    How many requests were cut off in the end.
    """
    try:
        sockets = bind_sockets(
            config.port, address=config.host, backlog=BACKLOG, reuse_port=config.reuse_port
        )
    except OSError as error:
        raise ServiceError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror}; choose another --port"
        ) from error
    stop = asyncio.Event()
    strategy = make_strategy(config)
    try:
        await strategy.open()
        operations = strategy.context.operations
        rooms = Rooms(strategy, operations, config.timeout_s) if is_chat(operations) else None
        admission = Admission(strategy)
        application = make_application(strategy, operations, config.timeout_s, rooms, admission)
        server = BoundedServer(application)
        server.add_sockets(sockets)
        server.start_sweeping()
        if config.gc_freeze:
            # A full collection walks every object that importing made, some 40 ms on the loop.
            gc.collect()
            gc.freeze()
        gauges = [strategy.gauges, admission.gauges, *([rooms.gauges] if rooms else [])]
        beating = Beating(
            lambda: {name: value for each in gauges for name, value in each().items()},
            0,
            HEARTBEAT_US,
        )
        beating.start()
        answer_marks(lambda: Heartbeats(*beating.take()), stop.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        say(Ready(pid=os.getpid(), port=sockets[0].getsockname()[1]))
        await stop.wait()
        return await server.end(config.drain_s, lambda: admission.under_way)
    finally:
        await strategy.close()


def work() -> int:
    """Read the configuration and serve."""
    config = decoded_config(read_line(), AppConfig)
    with asyncio.Runner(loop_factory=_loop_factory(config)) as runner:
        if cut_off := runner.run(serve(config)):
            was = "1 request was" if cut_off == 1 else f"{cut_off} requests were"
            logging.warning("%s cut off after %g s", was, config.drain_s)
            return ServiceError.exit_code
    return 0


def main() -> int:
    """Serve, and say what failed."""
    return run_process(work, "the application could not start")


def _loop_factory(config: AppConfig) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if not config.uvloop:
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    raise SystemExit(main())
