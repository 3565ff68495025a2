"""What every scenario must do: tried on a database with its data, through a plain session."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from asyncdb_bench.contract.engine import make_engine
from asyncdb_bench.contract.operation import drive
from asyncdb_bench.contract.scenario import Scenario, Workload
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.trial.conformance import check_services
from asyncdb_bench.trial.conformance_checks import TIMEOUT_S, Finding, require

if TYPE_CHECKING:
    from sqlalchemy import Engine

DRAWS = 20
"""How often each operation is tried."""


def check_scenario(spec: Spec) -> Iterator[Finding]:
    """Start PostgreSQL and yield what each check of a scenario says.

    Raises
    ------
    UsageError : unknown scenario or knob.
    ServiceError : PostgreSQL could not start.
    """
    scenario = make_scenario(spec.name, spec.knobs)
    workload = scenario.workload()
    yield _finding("Mix, ladder and objective are sound", lambda: plan_is_sound(scenario, workload))
    yield _finding(
        "Equal seeds draw equal parameters, of the declared types",
        lambda: parameters_repeat(scenario, workload),
    )
    with check_services() as services:
        database = services.clone(workload.data, f"scenario_{time.time_ns()}")
        try:
            for name in scenario.mix():
                yield _finding(
                    f"{name}: right answers are accepted, wrong ones are not, rows are as declared",
                    functools.partial(check_answers, scenario, workload, name, database),
                )
        finally:
            services.drop(database)


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
    """Check the parameters of each operation of the mix."""
    for name in scenario.mix():
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
    from sqlalchemy.orm import Session

    operation, rng = workload.operations[name], np.random.default_rng(2)
    engine = make_engine(database, 1, TIMEOUT_S)
    counting = RowCounter(engine)
    try:
        for _ in range(DRAWS):
            params = scenario.params(name, rng)
            counting.rows = 0
            with Session(engine) as session, session.begin():
                answer = drive(operation.steps(**params), session.execute)
            answer = msgspec.json.decode(msgspec.json.encode(answer))
            require(operation.check(params, answer), f"refuses its own answer {answer} to {params}")
            require(
                not accepts(operation.check, params, dict.fromkeys(answer)),
                "accepts an answer in which every value is null",
            )
            declared = operation.rows_of(params) if operation.rows is not None else counting.rows
            require(counting.rows == declared, f"{counting.rows} rows, {declared} declared")
    finally:
        engine.dispose()


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
        return Finding(title, str(error) or repr(error))
    return Finding(title)
