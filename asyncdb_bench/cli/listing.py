"""`list`: strategies, scenarios and profiles with their knobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
