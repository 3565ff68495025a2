"""The load as a process: ``python -m asyncdb_bench.load``.

The configuration is the first line of standard input, then one line for each step; one line of
standard output answers each. When standard input ends, the parent is gone and the process ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
from pathlib import Path

from locust import task
from locust.env import Environment

from asyncdb_bench.errors import BenchError
from asyncdb_bench.load.process import Orders, raise_file_limit, reply_of, user_class
from asyncdb_bench.load.recorder import save
from asyncdb_bench.load.user import OpenModelUser
from asyncdb_bench.records.messages import (
    Failed,
    LoadConfig,
    Offer,
    Ready,
    decoded_config,
    decoded_order,
    say,
)


def serving_user(config: LoadConfig, orders: Orders) -> type[OpenModelUser]:
    """Return the Locust user that serves what stands in the orders."""
    base = user_class(config)

    class ServingUser(base):  # type: ignore[valid-type, misc]
        abstract = False

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
            try:
                record, started_ns, probes = self.serve(order.step)
            except BenchError as error:
                say(Failed(str(error)))
                return
            finally:
                gc.enable()
            if order.file:
                try:
                    columns = record.columns(started_ns) | record.extra
                    save(Path(order.file), columns, probes)
                except OSError as error:
                    say(Failed(f"cannot write {order.file}: {error.strerror or error}"))
                    return
            counted = self.environment.stats.total.num_requests - counted
            say(reply_of(record, started_ns, counted, self.opened))

    return ServingUser


def main() -> int:
    """Serve orders until told to stop."""
    # A client that waits for a core reports its own waiting as the server's. Not permitted to all.
    with contextlib.suppress(OSError):
        os.nice(-10)
    raise_file_limit()
    orders = Orders()
    try:
        config = decoded_config(orders.next(), LoadConfig)
    except BenchError as error:
        say(Failed(str(error)))
        return error.exit_code
    environment = Environment(user_classes=[serving_user(config, orders)])
    runner = environment.create_local_runner()
    runner.start(1, spawn_rate=1)
    gc.freeze()
    say(Ready(pid=os.getpid()))
    runner.greenlet.join()
    return int(environment.process_exit_code or 0)


if __name__ == "__main__":
    raise SystemExit(main())
