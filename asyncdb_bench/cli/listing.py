"""`list`, `doctor` and `calibrate`: what there is, what was found, what the client can do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from asyncdb_bench.cli.options import FolderOptions
from asyncdb_bench.text import PROGRAM

if TYPE_CHECKING:
    from asyncdb_bench.contract.knob import Knob


def list_all() -> None:
    """List strategies, scenarios and profiles with their knobs."""
    from asyncdb_bench.contract.knob import knobs_of
    from asyncdb_bench.plan.profiles import read_profiles
    from asyncdb_bench.plan.reach import ReachKnobs
    from asyncdb_bench.plan.registry import names

    lines = [f"strategies ({PROGRAM} run --strategy NAME:knob=value,…)"]
    for name in names("strategies"):
        lines += _strategy(name)
    lines += ["", f"scenarios ({PROGRAM} run --scenario NAME:knob=value,…)"]
    for name in names("scenarios"):
        lines += _scenario(name)
    lines += ["", "how the services are reached (any strategy or scenario, or --rtt and so on)"]
    lines += map(_knob, knobs_of(ReachKnobs).values())
    lines += ["", f"profiles ({PROGRAM} run --profile NAME)"]
    for name, profile in read_profiles().items():
        lines.append(f"  {name:<12} {profile.get('summary', '')}")
    print("\n".join(lines))


def _strategy(name: str) -> list[str]:
    from asyncdb_bench.contract.knob import knobs_of
    from asyncdb_bench.errors import BenchError
    from asyncdb_bench.plan.registry import strategy_class

    try:
        cls = strategy_class(name)
    except BenchError as error:
        return [f"  {name:<12} does not load: {error}"]
    kinds = {"rabbitmq": "RabbitMQ", "redis": "Redis"}
    needs = f" [needs {' or '.join(kinds[each] for each in cls.brokers)}]" if cls.brokers else ""
    return [f"  {name:<12} {cls.summary}{needs}", *map(_knob, knobs_of(cls.Knobs).values())]


def _scenario(name: str) -> list[str]:
    from asyncdb_bench.contract.knob import knobs_of
    from asyncdb_bench.errors import BenchError
    from asyncdb_bench.plan.registry import scenario_class

    try:
        cls = scenario_class(name)
    except BenchError as error:
        return [f"  {name:<12} does not load: {error}"]
    return [f"  {name:<12} {cls.summary}", *map(_knob, knobs_of(cls.Knobs).values())]


def _knob(spec: Knob) -> str:
    from asyncdb_bench.contract.knob import BUDGET

    default = "the budget" if spec.default == BUDGET else str(spec.default).lower()
    if spec.type is float:
        default = f"{spec.default:g}"
    unit = f" {spec.unit}" if spec.unit else ""
    return f"      {spec.name}={default}{unit} ({spec.bounds}): {spec.help}"


def doctor_verb() -> None:
    """Say what was found on this machine, what will be used, and what is missing."""
    # SQLAlchemy and the services: every other verb would wait for them
    from asyncdb_bench.cli.findings import print_findings

    raise typer.Exit(print_findings(os.environ))


def calibrate_verb(
    folders: FolderOptions,
    cpus: Annotated[str, typer.Option(help="auto, off, or cores as 0-1/2/3")] = "auto",
    load_processes: Annotated[
        int, typer.Option(help="Locust workers that offer the load", min=1, max=64)
    ] = 1,
) -> None:
    """Measure what the load generator and this machine can do, in about a minute."""
    from asyncdb_bench.measure.client_calibration import measure_client
    from asyncdb_bench.records.run_folder import see_writable, write_calibration

    results = folders.places().results
    see_writable(results)
    calibration = measure_client(
        lambda text: print(text, flush=True), cpus, processes=load_processes
    )
    print(f"calibration: {write_calibration(results, calibration)}")
