"""Profile and choices -> the ordered list of trials. Pure but for reading ``bench.toml``."""

from __future__ import annotations

import random
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from asyncdb_bench.cores import share_out, usable_cores
from asyncdb_bench.elsewhere import make_variant_elsewhere
from asyncdb_bench.errors import BenchError, UnknownNameError, UsageError
from asyncdb_bench.fault import knobs_instead, parse_fault
from asyncdb_bench.fault import label as fault_label
from asyncdb_bench.knob import make_knobs, split_knobs, values_of
from asyncdb_bench.model import Asked, Fault, Plan, Settings, Tolerance, Trial, Variant
from asyncdb_bench.plugins import (
    CHECKOUT,
    PACKAGE,
    Spec,
    names,
    parse_specs,
    scenario_class,
    strategy_class,
)
from asyncdb_bench.vary import parse_vary, varied

START_S = 3.5
"""What a trial costs beside its steps: database copy, processes, pools (measured: 1 to 4 s)."""
SERVICES_S = 12.0
STEP_OVERHEAD_S = 0.35
DEPLOYMENT_S = {False: 18.0, True: 55.0}
"""What it takes to measure a deployment, without and with a broker."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line asks for; None where it leaves the profile's own."""

    profile: str = "quick"
    strategies: str | None = None
    scenarios: str | None = None
    seed: int | None = None
    overrides: Mapping[str, Any] | None = None
    vary: Sequence[str] = ()
    inject: str = ""


def read_profiles(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Read the profiles, each with the defaults filled in.

    Raises
    ------
    UsageError : no such file, or it is not TOML.
    """
    carried = PACKAGE / "_builtin" / "bench.toml"
    path = path or (carried if carried.is_file() else CHECKOUT / "bench.toml")
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    defaults = content.get("defaults", {})
    return {name: defaults | each for name, each in content.get("profiles", {}).items()}


def make_plan(choices: Choices, profiles: Mapping[str, Mapping[str, Any]]) -> Plan:
    """Make the plan of a run.

    Raises
    ------
    UsageError : all that is wrong with the request, one line each.
    """
    if choices.profile not in profiles:
        raise UnknownNameError("profile", choices.profile, profiles)
    profile = profiles[choices.profile]
    wrong: list[str] = []
    settings = _collect(wrong, lambda: make_settings(choices, profile))
    strategies = _collect(
        wrong, lambda: _specs(choices.strategies, profile["strategies"], "strategies")
    )
    if choices.vary and strategies is not None:
        strategies = _collect(wrong, lambda: _varied(choices, strategies))
    scenarios = _collect(
        wrong, lambda: _specs(choices.scenarios, profile["scenarios"], "scenarios")
    )
    if scenarios is not None:
        scenarios = _collect(wrong, lambda: _expanded(scenarios))
    budget = settings.budget if settings else 1
    injected = _collect(wrong, lambda: parse_fault(choices.inject)) if choices.inject else None
    variants = [
        _collect(wrong, lambda s=spec, f=fault: make_variant(s, budget, f))
        for spec in strategies or []
        # another checkout may not know of faults, and would run without
        for fault in ((None, injected) if injected and not spec.at else (None,))
    ]
    ladders = profile.get("ladders", {})
    asked = [_collect(wrong, lambda s=spec: make_asked(s, ladders)) for spec in scenarios or []]
    wrong += [
        f"{variant.label} cannot run {each.label}: a room lives in one process, not"
        f" {variant.processes}"
        for variant in variants
        for each in asked
        if variant and each and each.websocket and variant.processes > 1
    ]
    if wrong or settings is None:
        raise UsageError("\n".join(dict.fromkeys(wrong)))
    seed = choices.seed if choices.seed is not None else random.SystemRandom().randrange(2**31)
    labelled = unique_labels([each for each in variants if each])
    wanted = tuple(each for each in asked if each)
    return Plan(seed, settings, labelled, wanted, order(labelled, wanted, settings.blocks, seed))


def wanted_specs(choices: Choices, profiles: Mapping[str, Mapping[str, Any]]) -> list[Spec]:
    """Return the strategies that are asked for, or else the profile's."""
    if choices.profile not in profiles:
        raise UnknownNameError("profile", choices.profile, profiles)
    return _specs(choices.strategies, profiles[choices.profile]["strategies"], "strategies")


def _collect(wrong: list[str], make: Any) -> Any:
    try:
        return make()
    except BenchError as error:
        wrong.append(str(error))
        return None


def _specs(given: str | None, default: Sequence[str], kind: str) -> list[Spec]:
    if given is None and list(default) == ["*"]:
        return [Spec(name, {}) for name in names(kind)]
    specs = parse_specs(given if given is not None else ",".join(default))
    if not specs:
        raise UsageError(f"no {kind} given; known: {', '.join(names(kind))}")
    return specs


def _expanded(specs: Sequence[Spec]) -> list[Spec]:
    """Return the scenarios with those that stand for a grid in all its cells."""
    return [
        Spec(spec.name, knobs, spec.at)
        for spec in specs
        for knobs in scenario_class(spec.name).expand(spec.knobs)
    ]


def _varied(choices: Choices, strategies: Sequence[Spec]) -> list[Spec]:
    varies = [parse_vary(each) for each in choices.vary]
    return varied(strategies, varies, named=choices.strategies is not None)


def make_settings(choices: Choices, profile: Mapping[str, Any]) -> Settings:
    """Return a profile's settings with the command line's overrides."""
    known = {field.name for field in fields(Settings)} - {"profile"}
    values = {name: value for name, value in profile.items() if name in known}
    values |= {
        name: value for name, value in (choices.overrides or {}).items() if value is not None
    }
    missing = known - values.keys() - {"outstanding", "cpus", "tolerance", "deployment"}
    if missing:
        raise UsageError(f"profile {choices.profile!r} lacks {', '.join(sorted(missing))}")
    values["tolerance"] = make_tolerance(profile.get("tolerance", {}))
    settings = Settings(profile=choices.profile, **values)
    for name, low, high in (
        ("blocks", 1, 1000),
        ("budget", 1, 350),
        ("window_s", 0.1, 3600),
        ("window_max_s", 0.1, 3600),
        ("warmup_s", 0, 600),
        ("timeout_s", 0.1, 600),
        ("drain_s", 0, 600),
        ("outstanding", 1, 60_000),
        ("time_budget_s", 0, 1e6),
    ):
        value = getattr(settings, name)
        if not low <= value <= high:
            raise UsageError(f"{name}={value} is outside {low}..{high:g}")
    share_out(settings.cpus, usable_cores())
    return settings


def make_tolerance(given: Mapping[str, float]) -> Tolerance:
    """Return the tolerances of a profile.

    Raises
    ------
    UsageError : one that does not exist, or is not a positive number.
    """
    known = {field.name for field in fields(Tolerance)}
    for name, value in given.items():
        if name not in known:
            raise UnknownNameError("tolerance", name, known)
        if not isinstance(value, int | float) or not 0 < value < 1000:
            raise UsageError(f"tolerance {name}={value!r} must be a positive number")
    return Tolerance(**given)


def make_variant(spec: Spec, budget: int, fault: Fault | None = None) -> Variant:
    """Return a variant with every knob's value.

    Parameters
    ----------
    spec : what was asked for.
    budget : database connections, for knobs that follow it.
    fault : to inject; into a variant of this checkout only.
    """
    if spec.at:
        return make_variant_elsewhere(spec, budget)
    cls = strategy_class(spec.name)
    knobs = make_knobs(cls.Knobs, spec.knobs, owner=cls.name, budget=budget)
    instead = knobs_instead(fault)
    knobs = replace(knobs, **{name: v for name, v in instead.items() if hasattr(knobs, name)})
    # a share that would be empty is refused now, not when the processes start
    split_knobs(knobs, knobs.processes, 0, owner=cls.name)
    return Variant(
        label=f"{spec.label}!{fault_label(fault)}" if fault else spec.label,
        fault=fault,
        strategy=spec.name,
        knobs=values_of(knobs),
        budget=cls.budget(knobs),
        parts={part.role: part.copies for part in cls.parts(knobs)},
        limits=cls.limits(knobs),
        brokers=cls.brokers_for(knobs),
        needs_store=cls.needs_store(knobs),
    )


def make_asked(spec: Spec, ladders: Mapping[str, Sequence[float]]) -> Asked:
    """Return a scenario with every knob's value, its ladder and objective."""
    if spec.at:
        raise UsageError(f"{spec.label}: scenarios are this checkout's; @ goes with a strategy")
    cls = scenario_class(spec.name)
    knobs = make_knobs(cls.Knobs, spec.knobs, owner=cls.name, budget=0)
    scenario = cls(knobs)
    ladder = tuple(float(rate) for rate in ladders.get(cls.name, scenario.ladder()))
    if not ladder or list(ladder) != sorted(set(ladder)) or ladder[0] <= 0:
        raise UsageError(f"the ladder of {spec.name!r} must be positive and ascend: {ladder}")
    return Asked(
        label=spec.label,
        scenario=spec.name,
        knobs=values_of(knobs),
        objective=scenario.objective(),
        ladder=ladder,
        mix=dict(scenario.mix()),
        shape=scenario.shape(),
        websocket=scenario.websocket,
        gallop=scenario.gallop,
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


def order(
    variants: Sequence[Variant], scenarios: Sequence[Asked], blocks: int, seed: int
) -> tuple[Trial, ...]:
    """Order the trials: blocks of scenarios of variants, the variants shuffled in each.

    Drift of the machine then falls on all variants alike, and no variant always follows the same
    other one.
    """
    shuffler = random.Random(seed)
    trials: list[Trial] = []
    for block in range(blocks):
        for scenario in scenarios:
            for variant in shuffler.sample(list(variants), len(variants)):
                name = f"t{len(trials):03d}"
                trials.append(Trial(name, block, variant.label, scenario.label))
    return tuple(trials)


def window_of(settings: Settings, asked: Asked, rate_rps: float) -> float:
    """Return a step's window in seconds: long enough for the arrivals wanted, within bounds.

    Where the scenario has a shape, that says how long it is.
    """
    if asked.shape:
        return sum(each.seconds for each in asked.shape)
    wanted = settings.min_arrivals / rate_rps
    return min(max(settings.window_s, wanted), max(settings.window_max_s, settings.window_s))


def trial_seconds(settings: Settings, asked: Asked) -> float:
    """Estimate the seconds of a trial that climbs its whole ladder."""
    steps = sum(window_of(settings, asked, rate) + STEP_OVERHEAD_S for rate in asked.ladder)
    return START_S + settings.warmup_s + steps + settings.drain_s


def estimate_s(plan: Plan) -> float:
    """Estimate a run's seconds at most; ladders end earlier where a variant saturates."""
    asked = {each.label: each for each in plan.scenarios}
    full = SERVICES_S + sum(trial_seconds(plan.settings, asked[t.scenario]) for t in plan.trials)
    limit = plan.settings.time_budget_s
    after = sum(DEPLOYMENT_S[bool(v.brokers)] for v in plan.variants) * plan.settings.deployment
    return (min(full, limit) if limit else full) + after


def trial_share_s(left_s: float, trials_left: int) -> float:
    """Return the seconds that the next trial may take of what is left of the budget.

    A trial may take half as much again as its even share: those that saturate early leave time to
    the others.
    """
    even = left_s / max(trials_left, 1)
    return min(1.5 * even, left_s - (trials_left - 1) * START_S)
