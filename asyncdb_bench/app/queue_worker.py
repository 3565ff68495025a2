"""A task queue's worker as a process: ``python -m asyncdb_bench.app.queue_worker``.

Its configuration is the first line of standard input, its first line of standard output that it is
ready; it ends with its whole process group when standard input ends: then its parent is gone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading

from asyncdb_bench.app.process import end_with_parent, run_process
from asyncdb_bench.contract.knob import make_knobs
from asyncdb_bench.contract.queues.strategy import QueueStrategy
from asyncdb_bench.contract.queues.work import AsyncWork, BlockingWork
from asyncdb_bench.contract.strategy import Context
from asyncdb_bench.plan.cores import served_operations
from asyncdb_bench.plan.registry import strategy_class
from asyncdb_bench.plan.variants import faulty_operations
from asyncdb_bench.records.messages import (
    Ready,
    WorkerConfig,
    decoded_config,
    read_line,
    say,
)


async def serve(config: WorkerConfig) -> None:
    """Connect to the database, then have the library serve tasks until it ends."""
    cls = strategy_class(config.part["strategy"])
    assert issubclass(cls, QueueStrategy)
    knobs = make_knobs(cls.Knobs, config.part["knobs"], owner=cls.name, budget=0)
    operations = faulty_operations(served_operations(config), config.fault)
    strategy = cls(
        knobs,
        Context(
            config.database_url,
            operations,
            config.broker,
            config.queue,
            config.timeout_s,
            config.store,
        ),
    )
    work = BlockingWork(operations) if cls.on_threads else AsyncWork(operations)
    await work.open(config.database_url, knobs.tasks_each, config.timeout_s, knobs)
    if knobs.gc_freeze:
        gc.collect()
        gc.freeze()
    strategy.in_worker = True
    try:
        await strategy.open()
        await strategy.work(work.runner(), lambda: say(Ready(pid=os.getpid())))
    except asyncio.CancelledError:
        # arq's way to say that it was told to end
        return
    finally:
        await strategy.close()


def work() -> int:
    """Run the worker until it is told to stop."""
    config = decoded_config(read_line(), WorkerConfig)
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(serve(config))
    return 0


def main() -> int:
    """Run the worker, and say what failed."""
    return run_process(work, "the worker could not go on")


if __name__ == "__main__":
    raise SystemExit(main())
