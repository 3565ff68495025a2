"""A request -> a variant or a planned scenario, with every knob's value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from asyncdb_bench.contract.knob import make_knobs, split_knobs, values_of
from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.faults import fault_label, knobs_instead
from asyncdb_bench.plan.other_checkout import make_variant_elsewhere
from asyncdb_bench.plan.reach import taken_out, told
from asyncdb_bench.plan.registry import scenario_class, strategy_class
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.records.plan import Fault, PlannedScenario, Reach, Variant


def make_variant(spec: Spec, budget: int, fault: Fault | None = None) -> Variant:
    """Return a variant with every knob's value.

    Parameters
    ----------
    spec : what was asked for.
    budget : database connections, for knobs that follow it.
    fault : to inject; into a variant of this checkout only.
    """
    plain, reach = taken_out(spec)
    if spec.at:
        other = make_variant_elsewhere(plain, budget)
        knobs_there = {**other.knobs, **told(reach)}
        return replace(
            other, label=spec.label, request=spec.request, knobs=knobs_there, reach=reach
        )
    cls = strategy_class(spec.name)
    knobs = make_knobs(cls.Knobs, plain.knobs, owner=cls.name, budget=budget)
    instead = knobs_instead(fault)
    knobs = replace(knobs, **{name: v for name, v in instead.items() if hasattr(knobs, name)})
    return Variant(
        label=f"{spec.label}!{fault_label(fault)}" if fault else spec.label,
        fault=fault,
        strategy=spec.name,
        knobs=values_of(knobs) | told(reach),
        budget=cls.budget(knobs),
        request=spec.request,
        # a share that would be empty is refused now, not when the processes start
        shares=tuple(
            values_of(split_knobs(knobs, knobs.processes, place, owner=cls.name))
            for place in range(knobs.processes)
        ),
        parts=cls.parts(knobs),
        limits=cls.limits(knobs),
        brokers=cls.brokers_for(knobs),
        needs_store=cls.needs_store(knobs),
        reach=reach,
    )


def plan_scenario(
    spec: Spec, ladders: Mapping[str, Sequence[float]], usual: Reach | None = None
) -> PlannedScenario:
    """Return a scenario with every knob's value, its ladder and objective.

    Parameters
    ----------
    spec : what was asked for.
    ladders : of the profile, by scenario.
    usual : how the services are reached where the scenario does not say otherwise.
    """
    if spec.at:
        raise UsageError(f"{spec.label}: scenarios are this checkout's; @ goes with a strategy")
    plain, own_reach = taken_out(spec)
    cls = scenario_class(spec.name)
    knobs = make_knobs(cls.Knobs, plain.knobs, owner=cls.name, budget=0)
    scenario = cls(knobs)
    ladder = tuple(float(rate) for rate in ladders.get(cls.name, scenario.ladder()))
    if not ladder or list(ladder) != sorted(set(ladder)) or ladder[0] <= 0:
        raise UsageError(f"the ladder of {spec.name!r} must be positive and ascend: {ladder}")
    return PlannedScenario(
        label=spec.label,
        scenario=spec.name,
        knobs=values_of(knobs),
        objective=scenario.objective(),
        ladder=ladder,
        mix=dict(scenario.mix()),
        shape=scenario.shape(),
        websocket=scenario.websocket,
        gallop=scenario.gallop,
        request=spec.request,
        counted=tuple(scenario.counted),
        reach=replace(usual or Reach(), **own_reach),
        pace_only=scenario.pace_only,
        place=scenario.place(),
        work=scenario.work(),
        asks=dict(scenario.asks()),
    )


def unique_labels(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """Return the variants with those named twice numbered (an A/A): ``native``, ``native#2``."""
    seen: Counter[str] = Counter()
    labelled = []
    for variant in variants:
        seen[variant.label] += 1
        count = seen[variant.label]
        labelled.append(
            variant if count == 1 else replace(variant, label=f"{variant.label}#{count}")
        )
    return tuple(labelled)
