"""The conformance suite: what every strategy must do alike, tried on real services.

Same answers and same statements as a plain session; nothing stays of a transaction that failed;
it goes on after failures and cancellations; it keeps to its budget and says where time goes; it
gives everything back.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asyncdb_bench.errors import UnsupportedError, UsageError
from asyncdb_bench.measure.family import Family
from asyncdb_bench.measure.launch import (
    Launch,
)
from asyncdb_bench.plan.reach import told
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial.conformance_checks import (
    CHECKS,
    TIMEOUT_S,
    WORK,
    Finding,
    Subject,
    UntriedError,
    opened,
)


def check_strategy(spec: Spec, budget: int = 4) -> Iterator[Finding]:
    """Start the services that a strategy needs and yield what each check says.

    Raises
    ------
    UsageError : unknown strategy or knob.
    ServiceError : a service could not start.
    """
    variant = make_variant(spec, budget)
    if variant.reach:
        names = ", ".join(told(variant.reach))
        raise UsageError(f"a strategy is checked beside its database: leave {names} out")
    with check_services(
        with_broker=bool(variant.brokers), with_store=variant.needs_store
    ) as services:
        yield from findings_of(variant, services)


@contextmanager
def check_services(
    *, with_broker: bool = False, with_store: bool = False
) -> Iterator[RunningServices]:
    """Start services for a check, and stop them afterwards."""
    prefix = f"asyncdb_bench_check_{time.time_ns()}"
    with (
        tempfile.TemporaryDirectory(prefix="asyncdb-bench-check-") as logs,
        RunningServices(
            Path(logs), prefix, with_broker=with_broker, with_store=with_store
        ) as services,
    ):
        yield services


def findings_of(variant: Variant, services: RunningServices) -> Iterator[Finding]:
    """Run every check on one strategy and yield what came of it.

    Raises
    ------
    UnsupportedError : it cannot run here, for want of its broker.
    """
    refused = services.refusal(variant.brokers, needs_store=variant.needs_store)
    if refused:
        raise UnsupportedError(f"{variant.label} cannot be checked here: {refused}")
    data = make_scenario(WORK, {}).workload().data
    queue = f"asyncdb-bench-check-{time.time_ns()}"
    database = services.clone(data, f"conformance_{time.time_ns()}")
    bench = Subject(variant, services, database)
    asked = plan_scenario(Spec(WORK, {}), {})
    with tempfile.TemporaryDirectory(prefix="asyncdb-bench-check-") as logs:
        family = Family(Launch(variant, (asked,), "check", queue, TIMEOUT_S), Path(logs))
        try:
            family.start_workers(services, database)
            threads = set(threading.enumerate())
            findings = asyncio.run(_run_all(bench, queue))
            yield from findings
            family.stop(0)
            yield _gave_back(bench, threads)
        finally:
            family.stop(0)
            bench.engine.dispose()
            services.clean(queue)
            services.drop(database)


async def _run_all(bench: Subject, queue: str) -> list[Finding]:
    strategy = bench.make(queue)
    findings = []
    try:
        await opened(bench, strategy)
        for check in CHECKS:
            title = (check.__doc__ or "").strip().rstrip(".")
            try:
                await check(bench, strategy)
            except UntriedError as error:
                findings.append(Finding(title, untried=str(error)))
            except Exception as error:
                findings.append(Finding(title, str(error) or repr(error)))
            else:
                findings.append(Finding(title))
    finally:
        await strategy.close()
    return findings


def _gave_back(bench: Subject, threads: set[threading.Thread]) -> Finding:
    title = "Leave no connection and no thread after `close`"
    bench.engine.dispose()
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    deadline = time.monotonic() + 3
    while (left := bench.value(count)) and time.monotonic() < deadline:
        time.sleep(0.05)
    running = [each.name for each in threading.enumerate() if each not in threads]
    problems = [f"{left} connections open"] if left else []
    problems += [f"threads left: {', '.join(running)}"] if running else []
    return Finding(title, "; ".join(problems))
