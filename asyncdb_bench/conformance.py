"""The conformance suite: what every strategy must do alike, tried on real services.

Same answers and same statements as a plain session; nothing stays of a transaction that failed;
it goes on after failures and cancellations; it keeps to its budget; it gives everything back.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncdb_bench.conformance_work import Conformance
from asyncdb_bench.errors import EXIT_DONE, EXIT_USAGE, UnsupportedError, UsageError
from asyncdb_bench.knob import make_knobs
from asyncdb_bench.launch import Family, Launch
from asyncdb_bench.model import Variant
from asyncdb_bench.monitor import Monitor
from asyncdb_bench.operation import drive
from asyncdb_bench.plan import make_asked, make_variant
from asyncdb_bench.plugins import Spec, make_scenario, parse_specs, strategy_class
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.session import make_engine
from asyncdb_bench.strategy import Context, Strategy

WORK = f"{Path(__file__).with_name('conformance_work.py')}:{Conformance.__name__}"
TIMEOUT_S = 5.0
SAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("read", {"account": 7}),
    ("write", {"counter": 3, "amount": 5}),
    ("slow", {"account": 9, "seconds": 0.01}),
)
CALLS = (
    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements AS s JOIN pg_database AS d"
    " ON d.oid = s.dbid WHERE d.datname = current_database()"
    " AND query ~* '(account|counter|entry)' AND query !~* 'pg_stat'"
)


class NonconformityError(AssertionError):
    """A strategy does not do what the contract says."""


def require(condition: bool, text: str) -> None:
    """Raise :class:`NonconformityError` where a condition does not hold."""
    if not condition:
        raise NonconformityError(text)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome; `problem` is empty where it passed."""

    check: str
    problem: str = ""


class Bench:
    """A strategy opened on a fresh database, with its workers, and a plain session beside it."""

    def __init__(self, variant: Variant, services: RunningServices, database: str) -> None:
        self.variant = variant
        self.services = services
        self.database = database
        self.operations = make_scenario(WORK, {}).workload().operations
        self.cls = strategy_class(variant.strategy)
        self.engine = make_engine(database, 1, TIMEOUT_S)

    def make(self, queue: str, database: str | None = None) -> Strategy[Any]:
        """Make the strategy, not yet opened."""
        context = Context(
            database_url=database or self.database,
            operations=self.operations,
            broker=self.services.broker if self.variant.brokers else None,
            store=self.services.store if self.variant.needs_store else None,
            queue=queue,
            timeout_s=TIMEOUT_S,
        )
        knobs = make_knobs(self.cls.Knobs, self.variant.knobs, owner=self.cls.name, budget=0)
        return self.cls(knobs, context)

    def value(self, sql: str) -> Any:
        """Return one value from the database, by a connection of our own."""
        from sqlalchemy import text

        with self.engine.connect() as connection:
            return connection.execute(text(sql)).scalar_one()

    def directly(self, name: str, params: dict[str, Any], database: str) -> dict[str, Any]:
        """Run an operation through a plain session, for comparison."""
        from sqlalchemy.orm import Session

        engine = make_engine(database, 1, TIMEOUT_S)
        try:
            with Session(engine) as session, session.begin():
                return drive(self.operations[name].steps(**params), session.execute)
        finally:
            engine.dispose()


Check = Callable[[Bench, Strategy[Any]], Awaitable[None]]


async def same_answers(bench: Bench, strategy: Strategy[Any]) -> None:
    """Give the same answers as a plain session on an equal database."""
    data = make_scenario(WORK, {}).workload().data
    twin = bench.services.clone(data, "conformance_twin")
    try:
        for name, params in SAMPLES:
            got = await strategy.run(bench.operations[name], params)
            expected = await asyncio.to_thread(bench.directly, name, params, twin)
            require(got == expected, f"{name}{params} gave {got}, a plain session {expected}")
            require(bench.operations[name].check(params, got), f"{name}: wrong answer {got}")
    finally:
        bench.services.drop(twin)


async def same_statements(bench: Bench, strategy: Strategy[Any]) -> None:
    """Send as many statements for each operation as a plain session."""
    for name, params in SAMPLES:
        before = bench.value(CALLS)
        for _ in range(3):
            await strategy.run(bench.operations[name], params)
        through = bench.value(CALLS) - before
        for _ in range(3):
            await asyncio.to_thread(bench.directly, name, params, bench.database)
        plain = bench.value(CALLS) - before - through
        require(through == plain, f"3 x {name} sent {through} statements, a plain session {plain}")


async def rolls_back(bench: Bench, strategy: Strategy[Any]) -> None:
    """Leave nothing of an operation that fails after it wrote, and let the error through."""
    count = "SELECT count(*) FROM entry"
    before = bench.value(count)
    await _fails(bench, strategy, "write_then_fail", {"counter": 1})
    await _answers(bench, strategy, 1)
    after = bench.value(count)
    require(after == before, f"{after - before} rows of a failed transaction stayed")


async def goes_on_after_errors(bench: Bench, strategy: Strategy[Any]) -> None:
    """Go on after more failures in a row than there are connections."""
    for _ in range(bench.variant.budget + 2):
        await _fails(bench, strategy, "wrong_sql", {})
    await _answers(bench, strategy, bench.variant.budget)


async def goes_on_after_cancellation(bench: Bench, strategy: Strategy[Any]) -> None:
    """Give connections back when requests are cancelled half-way."""
    slow, params = bench.operations["slow"], {"account": 1, "seconds": 0.3}
    tasks = [asyncio.ensure_future(strategy.run(slow, params)) for _ in range(bench.variant.budget)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # a thread cannot be interrupted: what it does for nobody must end first
    await asyncio.sleep(0.5)
    await _answers(bench, strategy, bench.variant.budget)


async def keeps_to_its_budget(bench: Bench, strategy: Strategy[Any]) -> None:
    """Use no more connections than declared under three times as many requests at once."""
    slow, params = bench.operations["slow"], {"account": 2, "seconds": 0.05}
    # the plain session of this suite is no connection of the strategy's
    bench.engine.dispose()
    with Monitor({}, lambda: bench.services.statistics(bench.database)) as monitor:
        await asyncio.sleep(0.2)
        monitor.begin()
        at_once = 3 * bench.variant.budget
        async with asyncio.timeout(TIMEOUT_S * 4):
            await asyncio.gather(*(strategy.run(slow, params) for _ in range(at_once)))
        await asyncio.sleep(0.2)
        seen = monitor.end()
    peak = seen.connections_peak or 0
    require(peak > 0, "no connection was seen")
    require(
        peak <= bench.variant.budget, f"{peak} connections open, {bench.variant.budget} declared"
    )


async def closes_after_a_failed_open(bench: Bench, _strategy: Strategy[Any]) -> None:
    """Close after an `open` that failed half-way."""
    broken = bench.make("conformance-broken", "postgresql://bench@127.0.0.1:1/none")
    with contextlib.suppress(Exception):
        await broken.open()
    await broken.close()


CHECKS: tuple[Check, ...] = (
    same_answers,
    same_statements,
    rolls_back,
    goes_on_after_errors,
    goes_on_after_cancellation,
    keeps_to_its_budget,
    closes_after_a_failed_open,
)


async def _fails(bench: Bench, strategy: Strategy[Any], name: str, params: dict[str, Any]) -> None:
    try:
        answer = await strategy.run(bench.operations[name], params)
    except Exception:
        return
    raise NonconformityError(f"{name} should fail and answered {answer}")


async def _answers(bench: Bench, strategy: Strategy[Any], at_once: int) -> None:
    params = {"account": 5}
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(
                *(strategy.run(bench.operations["read"], params) for _ in range(at_once))
            )
    except Exception as error:
        raise NonconformityError(f"does not answer afterwards: {error!r}") from error


def examine(variant: Variant, services: RunningServices) -> Iterator[Finding]:
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
    bench = Bench(variant, services, database)
    asked = make_asked(Spec(WORK, {}), {})
    with tempfile.TemporaryDirectory(prefix="asyncdb-bench-check-") as logs:
        family = Family(Launch(variant, asked, "check", queue, TIMEOUT_S), Path(logs))
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


async def _run_all(bench: Bench, queue: str) -> list[Finding]:
    strategy = bench.make(queue)
    findings = []
    try:
        await strategy.open()
        for check in CHECKS:
            title = (check.__doc__ or "").strip().rstrip(".")
            try:
                await check(bench, strategy)
            except Exception as error:
                findings.append(Finding(title, str(error) or repr(error)))
            else:
                findings.append(Finding(title))
    finally:
        await strategy.close()
    return findings


def _gave_back(bench: Bench, threads: set[threading.Thread]) -> Finding:
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


def check_strategy(request: str, budget: int = 4) -> int:
    """Run the suite on one strategy, print what came of it, and return the exit code.

    Raises
    ------
    UsageError : not exactly one strategy.
    ServiceError : a service could not start.
    """
    specs = parse_specs(request)
    if len(specs) != 1:
        raise UsageError("check takes one strategy, e.g. `bench.py check executor:threads=4`")
    variant = make_variant(specs[0], budget)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="asyncdb-bench-check-") as logs:
        prefix = f"asyncdb_bench_check_{time.time_ns()}"
        with RunningServices(
            Path(logs),
            prefix,
            with_broker=bool(variant.brokers),
            with_store=variant.needs_store,
        ) as services:
            for finding in examine(variant, services):
                failed += bool(finding.problem)
                _print(f"{'FAIL' if finding.problem else 'ok  '}  {finding.check}")
                if finding.problem:
                    _print(f"      {finding.problem}")
    _print(f"{variant.label}: {'conforms' if not failed else f'{failed} checks failed'}")
    return EXIT_USAGE if failed else EXIT_DONE


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is the verb's output
