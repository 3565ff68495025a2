"""The application as a process: ``python -m asyncdb_bench.app``.

The configuration is the first line of standard input; ``{"event": "ready", "port": …}`` or
``{"event": "failed", …}`` the first of standard output. See :mod:`asyncdb_bench.app.control`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from typing import Any

import msgspec
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from asyncdb_bench.app.application import make_application
from asyncdb_bench.app.chat import Rooms, is_chat
from asyncdb_bench.app.control import Control, raw_input, say
from asyncdb_bench.app.lag import Heartbeat
from asyncdb_bench.errors import BenchError, ServiceError
from asyncdb_bench.fault import faulty_operations, faulty_strategy
from asyncdb_bench.knob import make_knobs
from asyncdb_bench.model import Broker, Fault
from asyncdb_bench.plugins import make_scenario, strategy_class
from asyncdb_bench.strategy import Context, Strategy

BACKLOG = 4096


class AppConfig(msgspec.Struct, frozen=True):
    """What the application is started with."""

    strategy: str
    knobs: dict[str, Any]
    scenario: str
    scenario_knobs: dict[str, Any]
    database_url: str
    queue: str
    timeout_s: float
    host: str = "127.0.0.1"
    port: int = 0
    broker: Broker | None = None
    store: Broker | None = None
    fault: Fault | None = None
    reuse_port: bool = False
    uvloop: bool = False
    gc_freeze: bool = True


def make_strategy(config: AppConfig) -> Strategy[Any]:
    """Return the strategy with its knobs and its context."""
    cls = strategy_class(config.strategy)
    workload = make_scenario(config.scenario, config.scenario_knobs).workload()
    operations = faulty_operations(workload.operations, config.fault)
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


async def serve(config: AppConfig) -> None:
    """Serve until told to stop; the strategy is closed whatever happens."""
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
        application = make_application(strategy, operations, config.timeout_s, rooms)
        server = HTTPServer(application)
        server.add_sockets(sockets)
        if config.gc_freeze:
            # A full collection walks every object that importing made, some 40 ms on the loop.
            gc.collect()
            gc.freeze()
        gauges = [strategy.gauges, *([rooms.gauges] if rooms else [])]
        heartbeat = Heartbeat(
            lambda: {name: value for each in gauges for name, value in each().items()},
            strategy.counters,
        )
        heartbeat.start()
        Control({"mark": heartbeat.take}, stop.set).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        say(event="ready", port=sockets[0].getsockname()[1], pid=os.getpid())
        await stop.wait()
        server.stop()
        await asyncio.wait_for(server.close_all_connections(), 2)
    finally:
        await strategy.close()


def main() -> int:
    """Read the configuration, serve, and say what failed."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    config = msgspec.json.decode(raw_input().readline(), type=AppConfig)
    factory = None
    if config.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(serve(config))
    except BenchError as error:
        say(event="failed", message=str(error))
        return error.exit_code
    except Exception as error:
        logging.exception("the application could not start")
        say(event="failed", message=f"{type(error).__name__}: {error}")
        return ServiceError.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
