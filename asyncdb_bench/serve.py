"""`serve`: the application alone, with its services, until Ctrl-C."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from asyncdb_bench.errors import UnsupportedError, UsageError
from asyncdb_bench.launch import Launch, launched
from asyncdb_bench.model import Asked, Variant
from asyncdb_bench.plan import make_asked, make_variant
from asyncdb_bench.plugins import make_scenario, parse_specs, strategy_class
from asyncdb_bench.services.running import RunningServices

TIMEOUT_S = 10.0


def serve_alone(strategy: str, scenario: str, host: str, port: int, budget: int) -> None:
    """Start services, workers and application, print what to try, wait for Ctrl-C.

    Raises
    ------
    UsageError : not exactly one strategy and one scenario.
    ServiceError : something could not start, or the port is taken.
    """
    variants, scenarios = parse_specs(strategy), parse_specs(scenario)
    if len(variants) != 1 or len(scenarios) != 1:
        raise UsageError("serve takes one strategy and one scenario")
    variant, asked = make_variant(variants[0], budget), make_asked(scenarios[0], {})
    brokers = strategy_class(variant.strategy).brokers
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="asyncdb-bench-serve-")))
        services = stack.enter_context(
            RunningServices(
                logs,
                f"asyncdb_bench_serve_{int(time.time())}",
                with_broker=bool(brokers),
                on_start=lambda name: _print(f"starting {name}"),
            )
        )
        if refused := services.refusal(brokers):
            raise UnsupportedError(f"{variant.label} cannot run here: {refused}")
        queue = f"asyncdb-bench-serve-{int(time.time())}"
        launch = Launch(variant, asked, "serve", queue, TIMEOUT_S, host=host, port=port)
        processes = stack.enter_context(launched(launch, services, logs))
        _print(_usage(variant, asked, f"http://{host}:{processes.port}"))
        while processes.app.popen.poll() is None:
            time.sleep(0.2)


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
