"""The conformance suite: what every strategy must do alike, tried on real services.

Same answers and same statements as a plain session; nothing stays of a transaction that failed;
it goes on after failures and cancellations; it keeps to its budget and says where time goes; it
gives everything back. Likewise for each value of `abandon` that it names.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncdb_bench.contract.engine import DISTRIBUTIONS, make_engine
from asyncdb_bench.contract.knob import make_knobs
from asyncdb_bench.contract.operation import Operation, Params, drive
from asyncdb_bench.contract.route import portable
from asyncdb_bench.contract.strategy import LIMITS, Context, Strategy
from asyncdb_bench.errors import BenchError, UnsupportedError, UsageError, described, first_line
from asyncdb_bench.extensions.check.abandoning_check import ABANDONED, abandons
from asyncdb_bench.extensions.check.conformance_work import TYPED, Conformance
from asyncdb_bench.extensions.check.failing_proxy import FailingProxy, tcp_target
from asyncdb_bench.measure.family import Family
from asyncdb_bench.measure.launch import Launch
from asyncdb_bench.measure.monitor import Monitor
from asyncdb_bench.plan.reach import told
from asyncdb_bench.plan.registry import make_scenario, strategy_class
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.services.running import RunningServices, needs_broker
from asyncdb_bench.services.watching import LOOK_UPS, Statistics
from asyncdb_bench_attach.timing import Phases, current

if TYPE_CHECKING:
    from sqlalchemy import Engine

UNCOUNTED = (
    "; it takes shared_preload_libraries = 'pg_stat_statements' on the server, and CREATE EXTENSION"
    " pg_stat_statements by a superuser in template1; or leave DATABASE_URL out"
)


def uncounted(url: str) -> str:
    """Return why the statements of a database cannot be counted; empty: they can.

    Parameters
    ----------
    url : of the database.
    """
    import psycopg

    try:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT calls FROM pg_stat_statements LIMIT 1")
    except psycopg.Error as error:
        return f"statements are not counted here ({first_line(error)}){UNCOUNTED}"
    return ""


WORK = f"{Path(__file__).with_name('conformance_work.py')}:{Conformance.__name__}"
TIMEOUT_S = 15.0
"""After how long a request is given up; a busy machine may take seconds for one."""
SAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("read", {"account": 7}),
    ("write", {"counter": 3, "amount": 5}),
    ("slow", {"account": 9, "seconds": 0.01}),
    ("several", {"account": 4, "queries": 3, "seconds": 0.0}),
    ("read_at_once", {"account": 11}),
    ("read_again", {"account": 12, "seconds": 0.01, "hold": True}),
    ("read_again", {"account": 12, "seconds": 0.01, "hold": False}),
)
PAUSE_S = 0.2
HOLD_TRIES = 3
OTHER_DRIVERS = ("psycopg2", "pg8000", "aiopg")
CALLS = (
    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements AS s JOIN pg_database AS d"
    " ON d.oid = s.dbid WHERE d.datname = current_database() AND query !~* 'pg_stat'"
)
OF_OPERATIONS = f"{CALLS} AND query ~* '(account|counter|entry)'"
BESIDE = (
    f"{CALLS} AND query !~* '(account|counter|entry)'"
    f" AND query !~* '^(begin|start|commit|end|rollback)' AND query !~ '{LOOK_UPS}'"
)


class NonconformityError(AssertionError):
    """A strategy does not do what the contract says."""


def require(condition: bool, text: str) -> None:
    """Raise :class:`NonconformityError` where a condition does not hold."""
    if not condition:
        raise NonconformityError(text)


class UntriedError(Exception):
    """A check cannot be made here; the text says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome: `problem` is empty where it passed, `untried` where it was made."""

    check: str
    problem: str = ""
    untried: str = ""


def outcome(title: str, error: Exception | None = None) -> Finding:
    """Return what came of a check that ended with an error, or with none."""
    if error is None:
        return Finding(title)
    if isinstance(error, UntriedError):
        return Finding(title, untried=str(error))
    known = isinstance(error, NonconformityError | BenchError)
    return Finding(title, str(error) if known else described(error))


@contextmanager
def plain_session(database: str) -> Iterator[tuple[Engine, Callable[[Operation, Params], Any]]]:
    """Lend an engine on a database, and what runs an operation in a session on it.

    Parameters
    ----------
    database : URL of one that has the operations' tables.
    """
    from sqlalchemy.orm import Session

    engine = make_engine(database, 1, TIMEOUT_S)

    def run(operation: Operation, params: Params) -> Any:
        with Session(engine) as session, session.begin():
            return drive(operation.steps(**params), session.execute)

    try:
        yield engine, run
    finally:
        engine.dispose()


class Subject:
    """A strategy opened on a fresh database, with its workers, and a plain session beside it."""

    def __init__(self, variant: Variant, services: RunningServices, database: str) -> None:
        self.variant = variant
        self.services = services
        self.database = database
        self.operations = make_scenario(WORK, {}).workload().operations
        self.cls = strategy_class(variant.strategy)
        self.engine = make_engine(database, 1, TIMEOUT_S)
        self.drivers: set[str] = set()

    def make(self, queue: str, database: str | None = None, abandon: str = "") -> Strategy[Any]:
        """Make the strategy, not yet opened; `abandon` instead of the knob's value."""
        context = Context(
            database_url=database or self.database,
            operations=self.operations,
            broker=self.services.broker_for(self.variant.brokers),
            store=self.services.store if self.variant.needs_store else None,
            queue=queue,
            timeout_s=TIMEOUT_S,
        )
        given = dict(self.variant.knobs) | ({"abandon": abandon} if abandon else {})
        knobs = make_knobs(self.cls.Knobs, given, owner=self.cls.name, budget=0)
        return self.cls(knobs, context)

    def value(self, sql: str) -> Any:
        """Return one value from the database, by a connection of our own."""
        from sqlalchemy import text

        with self.engine.connect() as connection:
            return connection.execute(text(sql)).scalar_one()

    def directly(self, name: str, params: dict[str, Any], database: str) -> Any:
        """Run an operation through a plain session, for comparison."""
        with plain_session(database) as (_, run):
            return run(self.operations[name], params)


Check = Callable[[Subject, Strategy[Any]], Awaitable[None]]


async def same_answers(bench: Subject, strategy: Strategy[Any]) -> None:
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


async def keeps_types(bench: Subject, strategy: Strategy[Any]) -> None:
    """Have parameters and answers of each type arrive as declared."""
    wrong = []
    for asked, value in TYPED:
        params = {"value": value}
        try:
            got = await strategy.run(asked, params)
        except Exception as error:
            got = f"{type(error).__name__}: {first_line(error)}"
        expected = await asyncio.to_thread(bench.directly, asked.name, params, bench.database)
        if portable(got) != portable(expected):
            wrong.append(f"{asked.name} gave {got}, a plain session {expected}")
    require(not wrong, "; ".join(wrong))


async def same_statements(bench: Subject, strategy: Strategy[Any]) -> None:
    """Send as many statements for each operation as a plain session."""
    if why := uncounted(bench.database):
        raise UntriedError(why)
    for name, params in SAMPLES:
        before, beside = bench.value(OF_OPERATIONS), bench.value(BESIDE)
        for _ in range(3):
            await strategy.run(bench.operations[name], params)
        through, beside = bench.value(OF_OPERATIONS) - before, bench.value(BESIDE) - beside
        for _ in range(3):
            await asyncio.to_thread(bench.directly, name, params, bench.database)
        plain = bench.value(OF_OPERATIONS) - before - through
        require(through == plain, f"3 x {name} sent {through} statements, a plain session {plain}")
        require(
            not beside,
            f"3 x {name} sent {beside} statements beside the operation's: does the pool reset or"
            " test its connections?",
        )


async def rolls_back(bench: Subject, strategy: Strategy[Any]) -> None:
    """Leave nothing of an operation that fails after it wrote, and let the error through."""
    count = "SELECT count(*) FROM entry"
    before = bench.value(count)
    await _fails(bench, strategy, "write_then_fail", {"counter": 1})
    await _answers(bench, strategy, 1)
    after = bench.value(count)
    require(after == before, f"{after - before} rows of a failed transaction stayed")


async def goes_on_after_errors(bench: Subject, strategy: Strategy[Any]) -> None:
    """Go on after more failures in a row than there are connections."""
    for _ in range(bench.variant.budget + 2):
        await _fails(bench, strategy, "wrong_sql", {})
    await _answers(bench, strategy, bench.variant.budget)


async def goes_on_after_cancellation(bench: Subject, strategy: Strategy[Any]) -> None:
    """Give connections back when requests are cancelled half-way."""
    slow, params = bench.operations["slow"], {"account": 1, "seconds": 0.3}
    tasks = [asyncio.ensure_future(strategy.run(slow, params)) for _ in range(bench.variant.budget)]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # a thread cannot be interrupted: what it still does must end first
    await asyncio.sleep(0.5)
    await _answers(bench, strategy, bench.variant.budget)


async def keeps_to_its_budget(bench: Subject, strategy: Strategy[Any]) -> None:
    """Use no more connections than declared under three times as many requests at once."""
    slow, params = bench.operations["slow"], {"account": 2, "seconds": 0.05}
    # the plain session of this suite is no connection of the strategy's
    bench.engine.dispose()
    with Monitor({}, lambda: Statistics(bench.database)) as monitor:
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


async def notes_its_phases(bench: Subject, strategy: Strategy[Any]) -> None:
    """Note where the time of a request went, and no more than it took."""
    if not strategy.knobs.timing:
        return
    phases = Phases()
    token = current.set(phases)
    try:
        await strategy.run(bench.operations["slow"], {"account": 3, "seconds": PAUSE_S})
    finally:
        current.reset(token)
    took = time.monotonic_ns() - phases.began
    noted = {each: getattr(phases, each) for each in ("queue", "pool", "database", "reply")}
    asked_ns = PAUSE_S * 1e9
    require(
        phases.database >= 0.9 * asked_ns,
        f"a query of {PAUSE_S * 1000:g} ms is noted as {phases.database / 1e6:.1f} ms in the"
        " database; give an engine of your own `timed=True`, a thread `hand_over`",
    )
    require(
        phases.held >= 0.9 * asked_ns or not bench.cls.limits(strategy.knobs).get("connections"),
        f"its connection is noted as held for {phases.held / 1e6:.1f} ms",
    )
    require(
        sum(noted.values()) <= took,
        f"phases of {sum(noted.values()) / 1e6:.1f} ms in {took / 1e6:.1f} ms: one counts twice",
    )


async def declares_known_limits(bench: Subject, strategy: Strategy[Any]) -> None:
    """Declare limits by names that mean something."""
    limits = bench.cls.limits(strategy.knobs)
    strange = sorted(set(limits) - set(LIMITS))
    require(
        not strange, f"limits() names {', '.join(strange)}; known are {', '.join(sorted(LIMITS))}"
    )
    small = [f"{name}={value}" for name, value in limits.items() if value < 1]
    require(not small, f"limits() gives {', '.join(small)}: each is at least 1")


async def says_whether_it_holds_the_loop(bench: Subject, strategy: Strategy[Any]) -> None:
    """Leave the event loop free while the database works, or declare `handler` in its limits."""
    if "handler" in bench.cls.limits(strategy.knobs):
        return
    held = PAUSE_S
    for _ in range(HOLD_TRIES):
        held = min(held, await _longest_hold_s(bench, strategy))
        if held < PAUSE_S / 2:
            return
    raise NonconformityError(
        f"the loop stood still for {held * 1000:.0f} ms of a query of {PAUSE_S * 1000:g} ms"
        " and limits() declares no `handler`"
    )


async def _longest_hold_s(bench: Subject, strategy: Strategy[Any]) -> float:
    work = asyncio.ensure_future(
        strategy.run(bench.operations["slow"], {"account": 4, "seconds": PAUSE_S})
    )
    longest, before = 0.0, time.monotonic()
    while not work.done():
        await asyncio.sleep(0.005)
        longest, before = max(longest, time.monotonic() - before), time.monotonic()
    await work
    return longest


async def uses_the_driver_it_names(bench: Subject, _strategy: Strategy[Any]) -> None:
    """Connect by a driver that its `packages` name."""
    named = {each.partition("[")[0] for each in bench.cls.packages}
    strange = sorted(bench.drivers - named)
    require(
        not strange,
        f"it opened connections of {', '.join(strange)}; packages name {', '.join(sorted(named))}",
    )


async def opened(bench: Subject, strategy: Strategy[Any]) -> None:
    """Open a strategy and note by which drivers it connected."""
    # held until afterwards: the address of an object that is gone may be another's
    before = connection_objects()
    known = {id(each) for each in before}
    await strategy.open()
    new = [each for each in connection_objects() if id(each) not in known]
    bench.drivers = {type(each).__module__.partition(".")[0] for each in new}


def connection_objects() -> list[object]:
    """Return the connections of known drivers that this process holds."""
    roots = {*DISTRIBUTIONS, *OTHER_DRIVERS}
    return [
        each
        for each in gc.get_objects()
        if "Connection" in type(each).__name__
        and str(type(each).__module__).partition(".")[0] in roots
    ]


async def gives_back_a_failed_open(bench: Subject, _strategy: Strategy[Any]) -> None:
    """Leave no connection where `open` failed half-way."""
    unreachable = bench.make("conformance-broken", "postgresql://bench@127.0.0.1:1/none")
    with contextlib.suppress(Exception):
        await unreachable.open()
    await unreachable.close()
    target = tcp_target(bench.database)
    if target is None:
        return
    with FailingProxy(*target, permits=max(1, bench.variant.budget - 1)) as proxy:
        broken = bench.make("conformance-half", proxy.url(bench.database))
        with contextlib.suppress(Exception):
            await broken.open()
        await broken.close()
        left = await asyncio.to_thread(proxy.left_open, 3.0)
        # the strategy must have given them back, not the garbage collector
        del broken
    require(left == 0, f"{left} connections stayed open after an open that failed, and a close")


CHECKS: tuple[Check, ...] = (
    same_answers,
    keeps_types,
    same_statements,
    rolls_back,
    goes_on_after_errors,
    goes_on_after_cancellation,
    keeps_to_its_budget,
    notes_its_phases,
    declares_known_limits,
    says_whether_it_holds_the_loop,
    uses_the_driver_it_names,
    gives_back_a_failed_open,
)


async def _fails(
    bench: Subject, strategy: Strategy[Any], name: str, params: dict[str, Any]
) -> None:
    try:
        answer = await strategy.run(bench.operations[name], params)
    except Exception:
        return
    raise NonconformityError(f"{name} should fail and answered {answer}")


async def _answers(bench: Subject, strategy: Strategy[Any], at_once: int) -> None:
    params = {"account": 5}
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(
                *(strategy.run(bench.operations["read"], params) for _ in range(at_once))
            )
    except Exception as error:
        raise NonconformityError(f"does not answer afterwards: {error!r}") from error


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
        with_broker=needs_broker([variant]), with_store=variant.needs_store
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


def findings_of(
    variant: Variant,
    services: RunningServices,
    values: Sequence[str] | None = None,
    times: int = ABANDONED,
) -> Iterator[Finding]:
    """Run every check on one strategy and yield what came of it.

    Parameters
    ----------
    values : of `abandon` that are tried; None: all that it names.
    times : how many requests are abandoned under each.

    Raises
    ------
    UnsupportedError : it cannot run here, for want of its broker.
    """
    cls = strategy_class(variant.strategy)
    knobs = make_knobs(cls.Knobs, variant.knobs, owner=cls.name, budget=0)
    refused = services.refusal(variant.brokers, needs_store=variant.needs_store)
    if refused := refused or cls.refusal(knobs, ()):
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
            yield from asyncio.run(_run_all(bench, queue))
            for value in bench.cls.abandons if values is None else values:
                yield asyncio.run(_abandoned(bench, queue, value, times))
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
            except Exception as error:
                findings.append(outcome(title, error))
            else:
                findings.append(outcome(title))
    finally:
        await strategy.close()
    return findings


async def _abandoned(bench: Subject, queue: str, value: str, times: int) -> Finding:
    title = f"Keep whole what is left of requests that nobody waits for (abandon={value})"
    strategy = bench.make(queue, abandon=value)
    try:
        await strategy.open()
        await abandons(bench, strategy, TIMEOUT_S, times)
    except Exception as error:
        return outcome(title, error)
    finally:
        await strategy.close()
    return outcome(title)


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
