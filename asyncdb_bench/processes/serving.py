"""The application alone, with its services, until it is interrupted."""

from __future__ import annotations

import secrets
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from asyncdb_bench.contract.route import Request
from asyncdb_bench.contract.scenario import example_params
from asyncdb_bench.errors import ServiceError, UnsupportedError, UsageError
from asyncdb_bench.measure.family import launched
from asyncdb_bench.measure.launch import Launch
from asyncdb_bench.plan.cores import sharing_groups
from asyncdb_bench.plan.planner import refusals
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.plan.variants import make_variant, plan_scenario
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.services.reaching import NOTHING_BETWEEN, Between
from asyncdb_bench.services.running import (
    RunningServices,
    Services,
    attached_services,
    needs_broker,
)
from asyncdb_bench.text import listed

TIMEOUT_S = 10.0
DRAIN_S = 10.0
LOCUST = Path(sys.prefix) / "bin" / "locust"
LOCUSTFILE = Path(__file__).parents[1] / "load" / "locustfile.py"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve: one strategy, the operations of scenarios on the same data, where, with what.

    Parameters
    ----------
    strategy, scenario : requests; several scenarios are separated by commas.
    host, port : where to listen.
    budget : database connections.
    attached : name of a task queue that workers elsewhere consume; then the database of
        ``DATABASE_URL`` is used itself, seeded where it is empty. Empty: everything is started.
    timeout_s : after how long a request is given up.
    drain_s : how long requests under way are answered after SIGTERM.
    """

    strategy: str
    scenario: str
    host: str
    port: int
    budget: int
    attached: str = ""
    timeout_s: float = TIMEOUT_S
    drain_s: float = DRAIN_S


def serve_until_interrupted(serving: Serving, say: Say) -> None:
    """Start services, workers and application, say what to try, wait for Ctrl-C or SIGTERM.

    Ctrl-C ends it at once; after SIGTERM what is under way is answered.

    Raises
    ------
    UsageError : not one strategy, or scenarios that cannot share an application.
    ServiceError : something could not start, the port is taken, or requests were cut off.
    """
    variants, scenarios = parse_specs(serving.strategy), parse_specs(serving.scenario)
    if len(variants) != 1 or not scenarios:
        raise UsageError("serve takes one strategy, and scenarios")
    variant = make_variant(variants[0], serving.budget)
    asked = tuple(plan_scenario(each, {}) for each in scenarios)
    for label, refused in refusals([variant], asked).items():
        raise UnsupportedError(f"{variant.label} cannot serve {label}: {refused[variant.label]}")
    if len(groups := sharing_groups(asked)) > 1:
        one, other = groups[0][0].label, groups[1][0].label
        raise UsageError(
            f"{one} and {other} cannot be served by one application: they have other tables, or"
            " operations of equal names or routes; give each a `serve` of its own"
        )
    launch = Launch(
        variant=variant,
        scenarios=asked,
        name="serve",
        queue=serving.attached or f"asyncdb-bench-serve-{secrets.token_hex(6)}",
        timeout_s=serving.timeout_s,
        host=serving.host,
        port=serving.port,
        with_workers=not serving.attached,
        drain_s=serving.drain_s,
    )
    if not is_loopback(serving.host):
        say(
            f"warning: whoever reaches {serving.host} may use the database through this application"
            " as you do; 127.0.0.1 is open to this machine alone"
        )
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="asyncdb-bench-serve-")))
        services: Services
        if serving.attached:
            services = attached_services(with_broker=bool(variant.brokers))
        else:
            between = Between(launch.reaches, variant.budget)
            services = stack.enter_context(variant_services(variant, logs, say, between))
        processes = stack.enter_context(launched(launch, services, logs))
        say(_usage(variant, asked, f"http://{serving.host}:{processes.port}"))
        parts = [app.part() for app in processes.apps]
        with told_to_end() as told:
            while all(part.exit_code() is None for part in parts) and not told.wait(0.2):
                pass
            if told.is_set():
                processes.end()
    if told.is_set() and any(part.exit_code() for part in parts):
        raise ServiceError(f"requests were cut off: they took more than {serving.drain_s:g} s")


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """Have SIGTERM set an event meanwhile."""
    told = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


def is_loopback(host: str) -> bool:
    """Return whether an address or name leads to this machine alone; an unknown name: it may not.

    Parameters
    ----------
    host : as the application listens on it; empty: all addresses.
    """
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None)  # noqa: S104 - asked, not listened on
    except OSError:
        return False
    return all(ip_address(each[4][0]).is_loopback for each in found)


@contextmanager
def variant_services(
    variant: Variant, logs: Path, say: Say, between: Between = NOTHING_BETWEEN
) -> Iterator[RunningServices]:
    """Start what the strategy needs, and what lies between.

    Raises
    ------
    UnsupportedError : its broker cannot be had here.
    """
    with RunningServices(
        logs,
        f"asyncdb_bench_serve_{secrets.token_hex(6)}",
        with_broker=needs_broker([variant]),
        with_store=variant.needs_store,
        on_start=lambda name: say(f"starting {name}"),
        between=between,
    ) as services:
        if refused := services.refusal(variant.brokers, needs_store=variant.needs_store):
            raise UnsupportedError(f"{variant.label} cannot run here: {refused}")
        yield services


def relative(path: Path) -> Path:
    """Return a path as it is typed in the working folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def curl_arguments(asked: Request, url: str) -> str:
    """Return what curl is called with to send a request."""
    words = [url + asked.target]
    if asked.method == "HEAD":
        words.append("--head")
    elif asked.method not in {"GET", "POST"}:
        words += ["-X", asked.method]
    words += [
        word
        for name, value in asked.headers.items()
        if name != "Content-Length"
        for word in ("-H", f"{name}: {value}")
    ]
    if asked.body:
        words += ["-d", asked.body.decode()]
    return shlex.join(words)


def _usage(variant: Variant, scenarios: Sequence[PlannedScenario], url: str) -> str:
    labels = listed([each.label for each in scenarios])
    lines = [f"{variant.label} serves {labels} on {url}; Ctrl-C ends it. Try:"]
    lines += [f"  curl {url}/healthz"]
    rng = np.random.default_rng(0)
    for scenario in scenarios:
        asked = make_scenario(scenario.scenario, scenario.knobs)
        operations = asked.workload().operations
        for name in scenario.mix:
            try:
                params = example_params(asked, name, rng)
            except UsageError:
                lines.append(f"  {name}: needs the answers of a session's steps before it")
                continue
            lines.append(f"  curl {curl_arguments(operations[name].request(params), url)}")
    lines += [
        f"  {relative(LOCUST)} -f {relative(LOCUSTFILE)} --scenario {each.request} --host {url}"
        for each in scenarios
    ]
    return "\n".join(lines)
