"""A Celery worker as a process of the harness: ``python -m asyncdb_bench.app.celery_worker``.

Its configuration is the first line of standard input, its first line of standard output that it is
ready; it ends with its whole process group when standard input ends: then its parent is gone.
"""

from __future__ import annotations

import _thread
import os

import msgspec

from asyncdb_bench.app.process import end_with_parent
from asyncdb_bench.contract.celery.strategy import WorkerKnobs, results_backend
from asyncdb_bench.errors import BenchError
from asyncdb_bench.records.messages import (
    Failed,
    Ready,
    WorkerConfig,
    decoded_config,
    read_line,
    say,
)


def main() -> int:
    """Run the worker until it is told to stop."""
    try:
        config = decoded_config(read_line(), WorkerConfig)
        knobs = msgspec.convert(config.part["knobs"], WorkerKnobs)
    except (BenchError, KeyError, msgspec.ValidationError) as error:
        say(Failed(str(error)))
        return 2
    # A native thread, before gevent may patch threading: it must see the end of the parent
    # whatever the pool does.
    _thread.start_new_thread(end_with_parent, ())
    if knobs.pool == "gevent":
        from celery import maybe_patch_concurrency

        maybe_patch_concurrency(["celery", "-P", "gevent"])
    return _run(config, knobs)


def _run(config: WorkerConfig, knobs: WorkerKnobs) -> int:
    from celery import signals

    from asyncdb_bench.contract.celery import celery_app as tasks
    from asyncdb_bench.plan.cores import served_operations
    from asyncdb_bench.plan.variants import faulty_operations

    if config.broker is None:
        say(Failed("a Celery worker needs a broker"))
        return 2
    queue = tasks.QueueOptions(
        broker=config.broker,
        queue=config.queue,
        results=results_backend(config.part["results"], config.broker.kind),
        store=config.store,
        acks_late=knobs.acks_late,
        prefetch=knobs.prefetch,
        timeout_s=config.timeout_s,
    )
    concurrency = 1 if knobs.pool == "solo" else knobs.workers
    app = tasks.make_app(queue, client=False)
    operations = faulty_operations(served_operations(config), config.fault)
    # Celery says that a worker is ready while its processes still start: they say it themselves
    has_begun, begins = os.pipe()
    os.set_blocking(begins, False)
    tasks.connect_when_ready(
        lambda: tasks.WorkerDatabase(
            config.database_url,
            operations,
            1 if knobs.pool in {"prefork", "solo"} else concurrency,
            config.timeout_s,
            knobs,
        ),
        forks=knobs.pool == "prefork",
        gc_freeze=knobs.gc_freeze,
        connected=lambda: os.write(begins, b"."),
    )
    processes = concurrency if knobs.pool == "prefork" else 1

    def say_ready() -> None:
        for _ in range(processes):
            os.read(has_begun, 1)
        say(Ready(pid=os.getpid()))

    signals.worker_ready.connect(lambda **_: _thread.start_new_thread(say_ready, ()), weak=False)
    worker = app.Worker(
        hostname=f"{config.queue}-{os.getpid()}@localhost",
        pool=knobs.pool,
        concurrency=concurrency,
        loglevel="WARNING",
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    raise SystemExit(main())
