"""A scenario under each strategy, over HTTP: right answers, and as many statements as expected."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asyncdb_bench.contract.scenario import Scenario, Workload
from asyncdb_bench.errors import ServiceError, described
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import (
    Launch,
)
from asyncdb_bench.plan.refusals import refusals
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.plan.variants import plan_scenario
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.services.database_statistics import LOOK_UPS
from asyncdb_bench.services.running import RunningServices
from asyncdb_bench.trial.conformance_checks import (
    Finding,
    NonconformityError,
    require,
)
from asyncdb_bench.trial.scenario_asking import ask_all, asked_directly
from asyncdb_bench.trial.statement_counts import uncounted
from asyncdb_bench.trial.target_answers import asked, judged

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
    except (NonconformityError, ServiceError) as error:
        return Finding(title, str(error))
    except Exception as error:
        return Finding(title, described(error))
    return Finding(title)


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
