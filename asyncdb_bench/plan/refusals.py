"""Which variants cannot run which scenarios, and a plan without those trials. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from asyncdb_bench.contract.data.tables import NO_TABLES
from asyncdb_bench.contract.knob import knobs_of, make_knobs
from asyncdb_bench.plan.registry import make_scenario, strategy_class
from asyncdb_bench.records.plan import Plan, PlannedScenario, Variant

Refused = Mapping[str, Mapping[str, str]]
"""Reasons by scenario and variant, labels both."""


def refusals(variants: Sequence[Variant], scenarios: Sequence[PlannedScenario]) -> Refused:
    """Return what the strategies refuse of the scenarios.

    A strategy of another checkout is not asked: it says so when it starts. Applications of others
    do not chat.
    """
    found: dict[str, dict[str, str]] = {}
    for scenario in scenarios:
        for each in variants:
            if scenario.websocket and each.target is not None:
                why = "a chat is asked of our own application alone"
                found.setdefault(scenario.label, {})[each.label] = why
        operations = make_scenario(scenario.scenario, scenario.knobs).workload().operations
        asked = [operations[name] for name in scenario.mix]
        for variant in variants:
            if variant.elsewhere is not None or variant.target is not None:
                continue
            cls = strategy_class(variant.strategy)
            own = knobs_of(cls.Knobs)
            known = {name: value for name, value in variant.knobs.items() if name in own}
            knobs = make_knobs(cls.Knobs, known, owner=cls.name, budget=variant.budget)
            if why := cls.refusal(knobs, asked):
                found.setdefault(scenario.label, {})[variant.label] = why
    return found


def without_tables(asked: PlannedScenario) -> bool:
    """Return whether a scenario has no tables, so that our application cannot serve it."""
    return make_scenario(asked.scenario, asked.knobs).workload().data is NO_TABLES


def follows(asked: PlannedScenario) -> bool:
    """Return whether redirects are followed, so that one request would be several operations."""
    operations = make_scenario(asked.scenario, asked.knobs).workload().operations
    return any(operations[name].route.follow for name in asked.mix)


def refusing(plan: Plan, refused: Refused) -> Plan:
    """Return a plan whose scenarios say which variants they are not asked of, and why."""
    scenarios = tuple(
        replace(each, refused={**each.refused, **refused.get(each.label, {})})
        for each in plan.scenarios
    )
    return replace(plan, scenarios=scenarios)
