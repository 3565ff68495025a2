"""The load as a process: ``python -m asyncdb_bench.load``.

The configuration is the first line of standard input, then one line for each step; one line of
standard output answers each. When standard input ends, the parent is gone and the process ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
from pathlib import Path
from typing import Any

import gevent
import gevent.os
from gevent.queue import Queue
from locust import task
from locust.env import Environment

from asyncdb_bench.errors import BenchError
from asyncdb_bench.load.chat import ChatUser
from asyncdb_bench.load.user import OpenModelUser
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.messages import (
    Failed,
    LoadConfig,
    Offer,
    Ready,
    StepReply,
    decoded_config,
    decoded_order,
    say,
)


class Orders:
    """Lines of standard input, read without blocking the hub."""

    def __init__(self) -> None:
        self.lines: Any = Queue()
        gevent.spawn(self._read)

    def _read(self) -> None:
        rest = b""
        while data := gevent.os.tp_read(0, 65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.lines.put(line)
        os._exit(0)

    def next(self) -> bytes:
        """Wait for the next line."""
        line: bytes = self.lines.get()
        return line


def cpu_s() -> float:
    """Return the CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def user_class(config: LoadConfig, orders: Orders) -> type[OpenModelUser]:
    """Return the Locust user of this scenario and target."""
    chosen = make_scenario(config.scenario, config.scenario_knobs)

    base = ChatUser if chosen.websocket else OpenModelUser

    class HarnessUser(base):  # type: ignore[valid-type, misc]
        scenario = chosen
        operations = chosen.workload().operations
        address = (config.host, config.port)
        timeout_s = config.timeout_s
        outstanding = config.outstanding

        @task
        def serve_orders(self) -> None:
            """Serve steps until the harness has no more."""
            while True:
                order = decoded_order(orders.next())
                if not isinstance(order, Offer):
                    self.environment.runner.quit()
                    return
                self.serve_order(order)

        def serve_order(self, order: Offer) -> None:
            counted = self.environment.stats.total.num_requests
            # The client's own pauses would be taken for the server's.
            gc.collect()
            gc.disable()
            used = cpu_s()
            record, started_ns, probes = self.serve(order.step)
            used = cpu_s() - used
            gc.enable()
            if order.file:
                try:
                    record.save(Path(order.file), started_ns, probes)
                except OSError as error:
                    say(Failed(f"cannot write {order.file}: {error.strerror or error}"))
                    return
            reply = StepReply(
                started_ns=started_ns,
                ledger=record.ledger(),
                attempted=record.attempted,
                locust_count=self.environment.stats.total.num_requests - counted,
                wrong_answers=record.wrong_answers,
                errors=dict(record.errors),
                cpu_s=used,
                connections=self.opened,
                rows=record.rows,
                transactions=record.transactions,
                reads=record.reads,
                joined=int(record.extra["joined"][0]) if record.extra else 0,
                bytes_sent=record.bytes_sent,
                bytes_received=record.bytes_received,
            )
            say(reply)

    return HarnessUser


def main() -> int:
    """Serve orders until told to stop."""
    # A client that waits for a core reports its own waiting as the server's. Not permitted to all.
    with contextlib.suppress(OSError):
        os.nice(-10)
    orders = Orders()
    try:
        config = decoded_config(orders.next(), LoadConfig)
    except BenchError as error:
        say(Failed(str(error)))
        return error.exit_code
    environment = Environment(user_classes=[user_class(config, orders)])
    runner = environment.create_local_runner()
    runner.start(1, spawn_rate=1)
    gc.freeze()
    say(Ready(pid=os.getpid()))
    runner.greenlet.join()
    return int(environment.process_exit_code or 0)


if __name__ == "__main__":
    raise SystemExit(main())
