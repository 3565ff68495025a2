"""`list`: what there is. It has no options, and imports none of what reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from asyncdb_bench.text import PROGRAM

if TYPE_CHECKING:
    from asyncdb_bench.contract.knob import Knob


def list_all() -> None:
    """List strategies, scenarios and profiles with their knobs."""
    from asyncdb_bench.contract.knob import knobs_of
    from asyncdb_bench.plan.profiles import read_profiles
    from asyncdb_bench.plan.reach import ReachKnobs
    from asyncdb_bench.plan.registry import scenario_class, strategy_class

    lines = [
        *_listed("strategies", "--strategy", strategy_class),
        *_listed("scenarios", "--scenario", scenario_class),
        "how the services are reached (any strategy or scenario, or --rtt and so on)",
        *map(_knob, knobs_of(ReachKnobs).values()),
        "",
        f"profiles ({PROGRAM} run --profile NAME)",
    ]
    for name, profile in read_profiles().items():
        lines.append(f"  {name:<12} {profile.get('summary', '')}")
    print("\n".join(lines))


def _listed(kind: str, option: str, find: Callable[[str], Any]) -> list[str]:
    """Return a paragraph of all of a kind; knobs that each of them has stand at its end."""
    from asyncdb_bench.contract.knob import knobs_of
    from asyncdb_bench.errors import BenchError
    from asyncdb_bench.plan.registry import groups, known, members

    heads: dict[str, str] = {}
    knobs: dict[str, list[str]] = {}
    for name in known(kind):
        try:
            cls = find(name)
        except BenchError as error:
            heads[name] = f"does not load: {error}"
        else:
            heads[name] = f"{cls.summary}{_needs(getattr(cls, 'brokers', ()))}"
            knobs[name] = [_knob(each) for each in knobs_of(cls.Knobs).values()]
    common = [
        each
        for each in next(iter(knobs.values()), ())
        if all(each in others for others in knobs.values())
    ]
    lines = [f"{kind} ({PROGRAM} run {option} NAME:knob=value,…)"]
    for name, head in heads.items():
        own = [each for each in knobs.get(name, ()) if each not in common]
        lines += [f"  {name:<12} {head}", *own]
    lines += [f"  {name:<12} = {','.join(members(kind, name))}" for name in groups(kind)]
    return [*lines, *(["  each of them", *common] if common else []), ""]


def _needs(brokers: Iterable[str]) -> str:
    kinds = {"rabbitmq": "RabbitMQ", "redis": "Redis"}
    named = " or ".join(kinds[each] for each in brokers)
    return f" [needs {named}]" if named else ""


def _knob(spec: Knob) -> str:
    from asyncdb_bench.contract.knob import BUDGET

    default = "the budget" if spec.default == BUDGET else str(spec.default).lower()
    if spec.type is float:
        default = f"{spec.default:g}"
    unit = f" {spec.unit}" if spec.unit else ""
    return f"      {spec.name}={default}{unit} ({spec.bounds}): {spec.help}"
