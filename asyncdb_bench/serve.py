"""`serve`: the application alone, with its services, until Ctrl-C."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from asyncdb_bench.errors import UnsupportedError, UsageError
from asyncdb_bench.launch import Launch, Services, launched
from asyncdb_bench.model import Asked, Broker, Variant
from asyncdb_bench.pgstat import Statistics
from asyncdb_bench.plan import make_asked, make_variant
from asyncdb_bench.plugins import make_scenario, parse_specs
from asyncdb_bench.services import broker as brokers
from asyncdb_bench.services import postgres as databases
from asyncdb_bench.services.running import RunningServices

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve: one strategy, one scenario's operations, where, with what.

    Parameters
    ----------
    attached : name of a task queue that workers elsewhere consume; then the database of
        ``DATABASE_URL`` is used itself, seeded where it is empty. Empty: everything is started.
    """

    strategy: str
    scenario: str
    host: str
    port: int
    budget: int
    attached: str = ""


def serve_alone(serving: Serving) -> None:
    """Start services, workers and application, print what to try, wait for Ctrl-C.

    Raises
    ------
    UsageError : not exactly one strategy and one scenario.
    ServiceError : something could not start, or the port is taken.
    """
    variants, scenarios = parse_specs(serving.strategy), parse_specs(serving.scenario)
    if len(variants) != 1 or len(scenarios) != 1:
        raise UsageError("serve takes one strategy and one scenario")
    variant, asked = make_variant(variants[0], serving.budget), make_asked(scenarios[0], {})
    launch = Launch(
        variant=variant,
        asked=asked,
        name="serve",
        queue=serving.attached or f"asyncdb-bench-serve-{int(time.time())}",
        timeout_s=TIMEOUT_S,
        host=serving.host,
        port=serving.port,
        with_workers=not serving.attached,
    )
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="asyncdb-bench-serve-")))
        make = attached_services if serving.attached else own_services
        services = stack.enter_context(make(variant, logs))
        processes = stack.enter_context(launched(launch, services, logs))
        _print(_usage(variant, asked, f"http://{serving.host}:{processes.port}"))
        while all(app.popen.poll() is None for app in processes.apps):
            time.sleep(0.2)


@contextmanager
def own_services(variant: Variant, logs: Path) -> Iterator[Services]:
    """Start what the strategy needs.

    Raises
    ------
    UnsupportedError : the broker that it needs is not to be had.
    """
    prefix = f"asyncdb_bench_serve_{int(time.time())}"
    with RunningServices(
        logs,
        prefix,
        with_broker=bool(variant.brokers),
        with_store=variant.needs_store,
        on_start=lambda name: _print(f"starting {name}"),
    ) as services:
        if refused := services.refusal(variant.brokers, needs_store=variant.needs_store):
            raise UnsupportedError(f"{variant.label} cannot run here: {refused}")
        yield services


class AttachedServices:
    """Services that others run: nothing is made in them but the tables, nothing is removed."""

    def __init__(self, database_url: str, broker: Broker | None) -> None:
        self.database_url = database_url
        self.broker = broker

    @property
    def store(self) -> Broker | None:
        """The broker, where it is one that keeps results."""
        return self.broker if self.broker is not None and self.broker.kind == "redis" else None

    def clone(self, data: Any, name: str) -> str:
        """Seed the database where it has no tables yet, and return its URL."""
        from sqlalchemy import inspect

        from asyncdb_bench.session import make_engine

        engine = make_engine(self.database_url, 1, TIMEOUT_S)
        try:
            with engine.connect() as connection:
                if not inspect(connection).get_table_names():
                    data.create(connection)
        finally:
            engine.dispose()
        return self.database_url

    def drop(self, url: str) -> None:
        """Leave the database."""

    def clean(self, queue: str) -> None:
        """Leave the queue."""

    def can_restart(self, role: str) -> bool:
        """No service here is ours."""
        return False

    def restart(self, role: str) -> None:
        """Refuse: no service here is ours."""
        raise UnsupportedError(f"{role} was not started here and is not restarted")

    def roles(self) -> dict[str, list[int]]:
        """No process here is ours."""
        return {}

    def statistics(self, url: str) -> Statistics:
        """Open the statistics of the database."""
        return Statistics(url)


@contextmanager
def attached_services(variant: Variant, _logs: Path) -> Iterator[Services]:
    """Use the services that ``DATABASE_URL`` and ``BROKER_URL`` name.

    Raises
    ------
    UsageError : a URL that is needed is not set.
    ServiceError : one does not answer.
    """
    needs_broker = bool(variant.brokers)
    database, broker = os.environ.get("DATABASE_URL", ""), os.environ.get("BROKER_URL", "")
    if not database or (needs_broker and not broker):
        raise UsageError("--attached needs DATABASE_URL, and BROKER_URL where there are workers")
    databases.check_reachable(database)
    yield AttachedServices(database, brokers.use_url(broker).broker if needs_broker else None)


def _usage(variant: Variant, asked: Asked, url: str) -> str:
    scenario = make_scenario(asked.scenario, asked.knobs)
    rng = np.random.default_rng(0)
    lines = [f"{variant.label} serves {asked.label} on {url}; Ctrl-C ends it. Try:"]
    lines += [f"  curl {url}/healthz"]
    for name in asked.mix:
        body = msgspec.json.encode(scenario.params(name, rng)).decode()
        lines.append(f"  curl {url}/op/{name} -d '{body}'")
    lines.append(
        "  .venv/bin/locust -f asyncdb_bench/load/locustfile.py"
        f" --scenario {asked.label} --host {url}"
    )
    return "\n".join(lines)


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is the verb's output
