"""A request -> a variant or a planned scenario, with every knob's value."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from asyncdb_bench.contract.abandoning import WHY_NOT
from asyncdb_bench.contract.knob import make_knobs, split_knobs, values_of
from asyncdb_bench.contract.operation import Operation, Params, Steps
from asyncdb_bench.contract.strategy import Knobs, Strategy
from asyncdb_bench.errors import KnobError, UsageError
from asyncdb_bench.plan.apart import environment_of
from asyncdb_bench.plan.environments import NotMadeError
from asyncdb_bench.plan.named_versions import is_named
from asyncdb_bench.plan.other_checkout import make_variant_elsewhere
from asyncdb_bench.plan.reach import taken_out, told
from asyncdb_bench.plan.registry import scenario_class, strategy_class
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.records.plan import Fault, PlannedScenario, Reach, Variant

MOST = {"delay_ms": 1000.0, "cpu_ms": 1000.0, "pool": 350}


def parse_fault(text: str) -> Fault:
    """Parse ``delay_ms=2,cpu_ms=0.5,pool=6``.

    Raises
    ------
    UsageError : another name, not a number, or out of bounds.
    """
    values: dict[str, Any] = {}
    for item in filter(None, (each.strip() for each in text.split(","))):
        name, sign, value = item.partition("=")
        if not sign or name not in MOST:
            raise UsageError(f"--inject {item!r} should read one of {', '.join(MOST)} = a number")
        try:
            values[name] = type(MOST[name])(value)
        except ValueError:
            raise UsageError(f"--inject {item}: {value!r} is not a number") from None
        if not 0 < values[name] <= MOST[name]:
            raise UsageError(f"--inject {item} is outside 0..{MOST[name]:g}")
    if not values:
        raise UsageError("--inject names no fault; write delay_ms=2")
    return Fault(**values)


def fault_label(fault: Fault) -> str:
    """Return a fault as it was asked for."""
    given = asdict(fault)
    return ",".join(f"{f.name}={given[f.name]:g}" for f in fields(fault) if given[f.name])


def faulty_operations(
    operations: Mapping[str, Operation], fault: Fault | None
) -> Mapping[str, Operation]:
    """Return the operations, each with the fault's delay in the database before its own work."""
    if fault is None or not fault.delay_ms:
        return operations
    return {name: _delayed(each, fault.delay_ms) for name, each in operations.items()}


def _delayed(operation: Operation, delay_ms: float) -> Operation:
    from sqlalchemy import Text, cast, func, literal, select

    # it returns no row: the audit of rows holds with the fault as without
    asleep = cast(func.pg_sleep(delay_ms / 1000), Text)
    statement = select(literal(1)).where(asleep.is_(None))

    @functools.wraps(operation.steps)
    def steps(**params: Any) -> Steps:
        yield statement
        return (yield from operation.steps(**params))

    return operation.with_steps(steps)


def knobs_instead(fault: Fault | None) -> dict[str, Any]:
    """Return the knobs that a fault overrides, by name."""
    if fault is None or not fault.pool:
        return {}
    # threads without a connection would only wait: both shrink, as `threads` alone sets both
    return {"pool": fault.pool, "threads": fault.pool}


class Faulty(Strategy[Knobs]):
    """Another strategy, whose handler burns CPU first.

    Parameters
    ----------
    inner : the strategy.
    cpu_ms : CPU time of the event loop's thread per request.
    """

    name = "faulty"
    summary = "another strategy with an injected fault"

    def __init__(self, inner: Strategy[Any], cpu_ms: float) -> None:
        super().__init__(inner.knobs, inner.context)
        self.inner = inner
        self.cpu_s = cpu_ms / 1000
        self.open, self.close = inner.open, inner.close  # type: ignore[method-assign]
        self.gauges = inner.gauges  # type: ignore[method-assign]
        self.limits, self.budget = inner.limits, inner.budget  # type: ignore[method-assign]

    async def run(self, operation: Operation, params: Params) -> Any:
        """Burn, then run the operation as the strategy does."""
        until = time.thread_time() + self.cpu_s
        while time.thread_time() < until:
            pass
        return await self.inner.run(operation, params)

    @classmethod
    def budget(cls, knobs: Knobs) -> int:
        """Not asked: a variant's budget is its own strategy's."""
        raise NotImplementedError


def faulty_strategy(strategy: Strategy[Any], fault: Fault | None) -> Strategy[Any]:
    """Return the strategy with the fault's CPU time in its handler."""
    return Faulty(strategy, fault.cpu_ms) if fault is not None and fault.cpu_ms else strategy


def make_variant(
    spec: Spec, budget: int, fault: Fault | None = None, cache: Path | None = None
) -> Variant:
    """Return a variant with every knob's value.

    Parameters
    ----------
    spec : what was asked for.
    budget : database connections, for knobs that follow it.
    fault : to inject; into a variant of this checkout only.
    cache : folder of the environments for named versions; None: the usual one.
    """
    plain, reach = taken_out(spec)
    label = f"{spec.label}!{fault_label(fault)}" if fault else spec.label
    if at := spec.at or environment_of(strategy_class(spec.name)):
        other = _elsewhere(replace(plain, at=at), budget, cache)
        return replace(
            other,
            label=label,
            request=spec.request,
            knobs={**other.knobs, **told(reach)},
            reach=reach,
            fault=fault,
        )
    cls = strategy_class(spec.name)
    knobs = make_knobs(cls.Knobs, plain.knobs, owner=cls.name, budget=budget)
    instead = knobs_instead(fault)
    knobs = replace(knobs, **{name: v for name, v in instead.items() if hasattr(knobs, name)})
    see_that_it_can_abandon(cls, knobs)
    return Variant(
        label=label,
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
        waits_in=cls.waits_in,
        reach=reach,
    )


def see_that_it_can_abandon(cls: type[Strategy[Any]], knobs: Knobs) -> None:
    """Refuse what a strategy cannot do with a request that nobody waits for.

    Raises
    ------
    KnobError : with the reason.
    """
    asked = f"{cls.name}:abandon={knobs.abandon}"
    if knobs.abandon not in cls.abandons:
        can = ", ".join(cls.abandons)
        raise KnobError(f"{asked}: {WHY_NOT[knobs.abandon]}; {cls.name} can {can}")
    if knobs.abandon == "statement" and knobs.autocommit:
        raise KnobError(
            f"{asked} sets statement_timeout for a transaction, and autocommit=true has none where"
            " an operation only reads; leave one of them out"
        )


def _elsewhere(spec: Spec, budget: int, cache: Path | None) -> Variant:
    """Return a variant of other code or versions; with the reason where those cannot be had."""
    if not is_named(spec.at):
        return make_variant_elsewhere(spec, budget)
    # a request that is wrong is wrong with any versions
    here = make_variant(Spec(spec.name, spec.knobs), budget)
    try:
        return make_variant_elsewhere(spec, budget, cache)
    except NotMadeError as error:
        return replace(here, not_run=str(error))


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
        overload=scenario.overload(),
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
