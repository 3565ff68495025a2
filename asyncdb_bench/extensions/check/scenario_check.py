"""What every scenario must do: tried through a plain session and every strategy."""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from asyncdb_bench.contract.browsing import message_of
from asyncdb_bench.contract.data.sources import NO_TABLES
from asyncdb_bench.contract.operation import Operation, judged
from asyncdb_bench.contract.route import Response
from asyncdb_bench.contract.scenario import Ask, Scenario, Workload, begun, go_through
from asyncdb_bench.errors import PluginError, described
from asyncdb_bench.extensions.check.conformance import (
    Finding,
    check_services,
    outcome,
    plain_session,
    require,
    uncounted,
)
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch
from asyncdb_bench.measure.target_family import asked
from asyncdb_bench.plan.planner import refusals
from asyncdb_bench.plan.registry import make_scenario, names
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.services.running import RunningServices, needs_broker
from asyncdb_bench.services.watching import LOOK_UPS

if TYPE_CHECKING:
    from sqlalchemy import Engine


DRAWS = 20
"""How often each operation is tried."""
VISITS = 5
"""How often each session is."""


def ask_all(scenario: Scenario[Any], wanted: Iterable[str], ask: Ask) -> None:
    """Ask for operations some times each, or go through sessions to their end.

    Parameters
    ----------
    scenario : draws the parameters.
    wanted : names of operations; sessions are gone through whole.
    ask : takes name and parameters, returns the answer.
    """
    rng = np.random.default_rng(2)
    for session in scenario.sessions():
        for _ in range(VISITS):
            go_through(session, rng, ask)
    if not scenario.sessions():
        for name in wanted:
            for _ in range(DRAWS):
                ask(name, scenario.params(name, rng))


@contextmanager
def asked_directly(workload: Workload, database: str) -> Iterator[tuple[Engine, Ask]]:
    """Lend what asks for an operation through a plain session, and the engine that it uses.

    Parameters
    ----------
    workload : for the operations.
    database : URL of one with the workload's data.

    Returns
    -------
    The engine, connected, and a function of name and parameters that returns what a client has.
    """
    with plain_session(database) as (engine, run):

        def ask(name: str, params: dict[str, Any]) -> Any:
            operation = workload.operations[name]
            reply = operation.route.reply(run(operation, operation.typed(params)))
            headers = message_of({"Content-Type": reply.content_type, **reply.headers}.items())
            return operation.route.answer(reply.status, headers, reply.encoded)

        with engine.connect():
            pass
        yield engine, ask


PATIENCE_S = 60.0
"""A worker's first answer may take seconds on a busy machine: whether it is right is asked here."""
OF_DRIVERS = rf"pg_(stat|catalog|type|range|enum)|current_schema\(\)|{LOOK_UPS}"
OF_TRANSACTIONS = (
    r"^\s*(begin|start|commit|end|rollback|savepoint|release|set|show|deallocate|discard|close)\M"
)
COUNT = (
    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements AS s JOIN pg_database AS d"
    " ON d.oid = s.dbid WHERE d.datname = current_database() AND query !~* %s AND query !~* %s"
)


def under_strategies(
    spec: Spec,
    scenario: Scenario[Any],
    variants: Sequence[Variant],
    services: RunningServices,
    *,
    named: bool,
) -> Iterator[Finding]:
    """Yield for each strategy whether the scenario's answers are right under it.

    Parameters
    ----------
    spec, scenario : the same.
    variants : the strategies.
    services : that run.
    named : they were asked for by name, so that one that cannot be tried is a problem.
    """
    asked = plan_scenario(spec, {})
    refused = refusals(variants, [asked]).get(asked.label, {})
    expected: int | None = None
    uncounted_because = ""
    for variant in variants:
        why = refused.get(variant.label, "") or services.refusal(
            variant.brokers, needs_store=variant.needs_store
        )
        if why:
            title = f"{variant.label}: right answers over HTTP"
            yield Finding(title, f"not tried: {why}") if named else Finding(title, untried=why)
            continue
        if expected is None and not uncounted_because:
            try:
                expected, uncounted_because = plain_statements(scenario, services)
            except Exception as error:
                # what it said of the operation stands above: no strategy can do better
                yield Finding("A plain session answers all that is asked", described(error))
                return
            if uncounted_because:
                yield Finding("As many statements as a plain session", untried=uncounted_because)
        yield _under(variant, asked, scenario, services, expected)


def plain_statements(scenario: Scenario[Any], services: RunningServices) -> tuple[int | None, str]:
    """Return how many statements a plain session sends for what is asked, or why not."""
    workload = scenario.workload()
    if any(workload.operations[name].streams for name in scenario.mix()):
        return None, "drivers fetch the parts of a streamed result each in their own way"
    database = services.clone(workload.data, f"plain_{time.time_ns()}")
    try:
        if why := uncounted(database):
            return None, why
        with asked_directly(workload, database) as (_, ask):
            before = statements(database)
            ask_all(scenario, scenario.mix(), ask)
            return statements(database) - before, ""
    finally:
        services.drop(database)


def _under(
    variant: Variant,
    asked: PlannedScenario,
    scenario: Scenario[Any],
    services: RunningServices,
    expected: int | None,
) -> Finding:
    title = f"{variant.label}: right answers over HTTP"
    if expected is not None:
        title += ", as many statements as a plain session sends"
    name = f"check_{variant.strategy.rpartition(':')[2]}_{time.time_ns()}"
    launch = Launch(variant, (asked,), name, f"asyncdb-bench-{name}", PATIENCE_S)
    workload = scenario.workload()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="asyncdb-bench-check-") as logs,
            launched(launch, services, Path(logs)) as processes,
        ):
            before = 0 if expected is None else statements(processes.database)
            ask_all(
                scenario, scenario.mix(), lambda n, p: over_http(processes.port, workload, n, p)
            )
            sent = None if expected is None else statements(processes.database) - before
        require(sent == expected, f"{sent} statements, a plain session sends {expected}")
    except Exception as error:
        return outcome(title, error)
    return outcome(title)


def over_http(port: int, workload: Workload, name: str, params: dict[str, Any]) -> Any:
    """Ask the application for an operation and return its answer.

    Raises
    ------
    NonconformityError : it is not right.
    """
    operation = workload.operations[name]
    said = asked("127.0.0.1", port, operation.request(params), PATIENCE_S + 1)
    answer, why = judged(operation, params, said)
    require(not why, f"{name}{params}: {why}")
    return answer


def statements(url: str) -> int:
    """Return how many statements a database has run so far, but for those of transactions."""
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute(COUNT, [OF_DRIVERS, OF_TRANSACTIONS]).fetchone()
    assert row is not None
    return int(row[0])


BUDGET = 4


def check_scenario(spec: Spec, strategies: Sequence[str] | None = None) -> Iterator[Finding]:
    """Start the services and yield what each check of a scenario says.

    Parameters
    ----------
    spec : the scenario.
    strategies : names of those that it is tried under; None: all that there are.

    Raises
    ------
    UsageError : unknown scenario or knob.
    ServiceError : PostgreSQL could not start.
    """
    scenario = make_scenario(spec.name, spec.knobs)
    workload = workload_of(scenario)
    planned = _finding(
        "Mix, ladder and objective are sound", lambda: plan_is_sound(scenario, workload)
    )
    yield planned
    yield _finding(
        "Equal seeds draw equal parameters, of the declared types",
        lambda: parameters_repeat(scenario, workload),
    )
    if workload.data is NO_TABLES:
        yield Finding("It has no tables: it is for --target alone, and is tried there")
        return
    mix = mix_of(scenario)
    tried = names("strategies") if strategies is None else strategies
    variants = [make_variant(Spec(name, {}), BUDGET) for name in tried]
    with check_services(
        with_broker=needs_broker(variants),
        with_store=any(each.needs_store for each in variants),
    ) as services:
        seeded = _finding("Equal seeds make equal tables", lambda: seeds_repeat(scenario, services))
        yield seeded
        if seeded.problem or not mix:
            return
        database = services.clone(workload.data, f"scenario_{time.time_ns()}")
        try:
            for name in mix:
                yield _finding(
                    f"{name}: right answers are accepted, wrong ones are not, rows are as declared",
                    functools.partial(check_answers, scenario, workload, name, database),
                )
            yield _finding(
                "The objective can be met: a plain session's answers take less",
                lambda: objective_can_be_met(scenario, workload, database),
            )
        finally:
            services.drop(database)
        if not (scenario.websocket or planned.problem):
            named = strategies is not None
            yield from under_strategies(spec, scenario, variants, services, named=named)


def workload_of(scenario: Scenario[Any]) -> Workload:
    """Return a scenario's data and operations.

    Raises
    ------
    PluginError : it cannot make them.
    """
    try:
        return scenario.workload()
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"scenario {scenario.name!r}: workload(): {described(error)}") from error


def mix_of(scenario: Scenario[Any]) -> list[str]:
    """Return the operations of a scenario's mix that it has; none where it has no mix."""
    try:
        return [each for each in scenario.mix() if each in scenario.workload().operations]
    except Exception:
        # its plan is told to be unsound already
        return []


def plan_is_sound(scenario: Scenario[Any], workload: Workload) -> None:
    """Check what a plan takes from the scenario."""
    mix, ladder = scenario.mix(), scenario.ladder()
    unknown = sorted(set(mix) - set(workload.operations))
    require(not unknown, f"the mix names {', '.join(unknown)}, no operation of the workload")
    require(abs(sum(mix.values()) - 1) < 1e-6, f"the mix sums to {sum(mix.values()):g}, not to 1")
    require(min(mix.values()) > 0, "an operation of the mix has no share")
    require(bool(ladder), "the ladder has no offered load")
    require(list(ladder) == sorted(set(ladder)) and ladder[0] > 0, "the ladder does not ascend")
    require(scenario.objective().p99_ms > 0, "the objective's p99_ms is not above 0")
    uncounted = sorted(set(scenario.counted) - set(workload.operations))
    require(not uncounted, f"`counted` names {', '.join(uncounted)}, no operation")


def parameters_repeat(scenario: Scenario[Any], workload: Workload) -> None:
    """Check the parameters of each operation of the mix, and all that were recorded."""
    if scenario.recorded is not None:
        scenario.recorded.see_that_all_are_valid(workload.operations)
    for name in scenario.mix():
        if scenario.sessions():
            # a step's parameters come of the answers before, which there are none of here
            drawn = [first_steps(scenario, np.random.default_rng(1)) for _ in range(2)]
            require(drawn[0] == drawn[1], "a session differs though the seed is the same")
            return
        first, second = (
            [scenario.params(name, rng) for _ in range(DRAWS)]
            for rng in (np.random.default_rng(1), np.random.default_rng(1))
        )
        require(first == second, f"{name}: the parameters differ though the seed is the same")
        for params in first:
            body = msgspec.json.encode(params)
            msgspec.json.decode(body, type=workload.operations[name].params_type)


def check_answers(scenario: Scenario[Any], workload: Workload, name: str, database: str) -> None:
    """Run an operation through a plain session and check what it says of its answers."""
    with asked_directly(workload, database) as (engine, directly):
        counting = RowCounter(engine)

        def ask(asked: str, params: dict[str, Any]) -> Any:
            counting.rows = 0
            answer = directly(asked, params)
            if asked == name:
                operation = workload.operations[asked]
                check_answer(operation, params, answer)
                seen = counting.rows
                declared = operation.rows_of(params) if operation.rows is not None else seen
                require(seen == declared, f"{seen} rows, {declared} declared")
            return answer

        ask_all(scenario, [name], ask)


def check_answer(operation: Operation, params: dict[str, Any], answer: Any) -> None:
    """See that an operation's check tells a right answer from a wrong one."""
    short = str(answer)[:200]
    require(operation.check(params, answer), f"refuses its own answer {short} to {params}")
    body = answer.body if isinstance(answer, Response) else answer
    wrong = dict.fromkeys(body) if isinstance(body, dict) else type(body)()
    given = Response(answer.status, Message(), wrong) if isinstance(answer, Response) else wrong
    require(
        not accepts(operation.check, params, given) or body == wrong,
        "accepts an answer in which every value is null"
        if isinstance(body, dict)
        else f"accepts an empty answer ({wrong!r})",
    )


def first_steps(scenario: Scenario[Any], rng: np.random.Generator) -> list[Any]:
    """Return how each session begins."""
    return [(c.operation, c.params) for c in (begun(each, rng) for each in scenario.sessions())]


def seeds_repeat(scenario: Scenario[Any], services: RunningServices) -> None:
    """Seed twice and hold the tables against each other, by count and a sum over their rows."""
    found = []
    for number in range(2):
        services.postgres.forget_templates()
        url = services.clone(scenario.workload().data, f"seed_{number}_{time.time_ns()}")
        try:
            found.append(contents(url))
        finally:
            services.drop(url)
    first, second = found
    differing = sorted(
        table for table in first.keys() | second.keys() if first.get(table) != second.get(table)
    )
    require(
        not differing,
        f"{', '.join(differing)}: seeded twice, with different rows; draw from a fixed seed",
    )


def contents(url: str) -> dict[str, tuple[int, int]]:
    """Return how many rows each table has, and a sum of their hashes, whatever their order."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    query = SQL(
        "SELECT count(*), coalesce(sum(hashtextextended(CAST(t AS text), 0) % 1000000007), 0)"
        " FROM {} AS t"
    )
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        found = {}
        for schema, table in tables:
            row = connection.execute(query.format(Identifier(schema, table))).fetchone()
            assert row is not None
            found[f"{schema}.{table}"] = (int(row[0]), int(row[1]))
    return found


def objective_can_be_met(scenario: Scenario[Any], workload: Workload, database: str) -> None:
    """See that answers through a plain session, with nothing else to do, meet the objective."""
    took_ms: dict[str, list[float]] = {}
    with asked_directly(workload, database) as (_, directly):

        def ask(name: str, params: dict[str, Any]) -> Any:
            began = time.monotonic()
            answer = directly(name, params)
            took_ms.setdefault(name, []).append(1000 * (time.monotonic() - began))
            return answer

        ask_all(scenario, scenario.mix(), ask)
    counted = {name: statistics.median(each) for name, each in took_ms.items()}
    counted = {k: v for k, v in counted.items() if not scenario.counted or k in scenario.counted}
    slowest = max(counted, key=lambda name: counted[name])
    limit = scenario.objective().p99_ms
    require(
        counted[slowest] < limit,
        f"{slowest} takes {counted[slowest]:.0f} ms with nothing else to do, and 99 % are to stay"
        f" below {limit:g} ms: no load can meet that",
    )


class RowCounter:
    """Counts the rows that an engine's statements return or change, those of the ORM's own too.

    Parameters
    ----------
    engine : on psycopg, whose cursors know after each statement.
    """

    def __init__(self, engine: Engine) -> None:
        from sqlalchemy import event

        self.rows = 0
        event.listen(engine, "after_cursor_execute", self.count)

    def count(self, _connection: Any, cursor: Any, *_: Any) -> None:
        """Add a statement's rows."""
        self.rows += max(0, cursor.rowcount)


def accepts(check: Callable[[Any, Any], bool], params: Any, answer: Any) -> bool:
    """Return whether an operation's check takes an answer; one that raises refuses it."""
    try:
        return bool(check(params, answer))
    except Exception:
        return False


def _finding(title: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except Exception as error:
        return outcome(title, error)
    return outcome(title)
