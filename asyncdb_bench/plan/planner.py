"""Profile and choices -> the ordered list of trials. Pure but for reading ``bench.toml``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from asyncdb_bench.contract.data.sources import NO_TABLES
from asyncdb_bench.contract.knob import knobs_of, make_knobs
from asyncdb_bench.contract.scenario import Scenario
from asyncdb_bench.errors import BenchError, UnknownNameError, UsageError
from asyncdb_bench.extensions import added, loaded
from asyncdb_bench.plan.load_workers import Workers, wrong_workers
from asyncdb_bench.plan.profiles import climbs, make_settings, rung_window_s
from asyncdb_bench.plan.reach import reach_of
from asyncdb_bench.plan.registry import (
    groups,
    known,
    make_scenario,
    members,
    names,
    scenario_class,
    strategy_class,
)
from asyncdb_bench.plan.request import Choices, Spec, parse_specs, parse_vary, varied
from asyncdb_bench.plan.targets import target_variants
from asyncdb_bench.plan.variants import make_variant, parse_fault, plan_scenario, unique_labels
from asyncdb_bench.records.plan import Hosts, Plan, PlannedScenario, Reach, Settings, Variant
from asyncdb_bench.text import PROGRAM

SERVICES_S, LAUNCH_S = 12.0, 4.0
"""What set-up and the end take, and what each launch does."""
BETWEEN_S = 0.15
"""What a turn takes beside its window: load before it, and what is under way at its end."""
REST_S = 2.0
"""What an overload takes beside its window, until nothing is under way any more."""
DEPLOYMENT_S = {False: 18.0, True: 55.0}
"""What it takes to measure a deployment, without and with a broker."""


def estimate_s(plan: Plan) -> float:
    """Estimate a run's seconds at most; 0: it goes on until every answer is known.

    Parameters
    ----------
    plan : with its time budget, which bounds all but the measuring of deployments.
    """
    settings = plan.settings
    after = sum(DEPLOYMENT_S[bool(v.brokers)] for v in plan.variants) * settings.deployment
    turning = [each for each in plan.scenarios if not climbs(settings, each)]
    if settings.time_budget_s:
        return settings.time_budget_s + after
    if turning and not settings.rounds:
        return 0.0
    rounds = settings.blocks * settings.rounds * len(turning)
    turns_s = rounds * len(plan.variants) * (settings.turn_s + BETWEEN_S)
    overloads = [each.overload for each in turning if each.overload is not None]
    turns_s += sum(
        settings.blocks * settings.rounds * len(plan.variants) * (each.window_s + REST_S)
        for each in overloads
    )
    climbing = [each for each in plan.scenarios if climbs(settings, each)]
    ladders_s = sum(_ladder_s(settings, each) for each in climbing)
    ladders_s *= settings.ladder_blocks * len(plan.variants)
    launches = max(settings.blocks if turning else 1, settings.ladder_blocks if climbing else 1)
    return SERVICES_S + launches * LAUNCH_S + turns_s + ladders_s + after


def _ladder_s(settings: Settings, asked: PlannedScenario) -> float:
    return sum(rung_window_s(settings, asked, rate) + BETWEEN_S for rate in asked.ladder)


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


def refusing(plan: Plan, refused: Refused) -> Plan:
    """Return a plan whose scenarios say which variants they are not asked of, and why."""
    scenarios = tuple(
        replace(each, refused={**each.refused, **refused.get(each.label, {})})
        for each in plan.scenarios
    )
    return replace(plan, scenarios=scenarios)


ALONE_S = 110.0
"""Of a run of one variant, unless it was asked for otherwise."""
ALL = "all"
"""Stands for every strategy, or every scenario, that discovery finds."""


def make_plan(choices: Choices, profiles: Mapping[str, Mapping[str, Any]]) -> Plan:
    """Make the plan of a run.

    Raises
    ------
    UsageError : all that is wrong with the request, one line each.
    """
    name = choices.profile or usual_profile(choices.scenarios or "")
    if name not in profiles:
        raise UnknownNameError("profile", name, profiles)
    profile = profiles[name]
    wrong: list[str] = []
    # how far away its database is, is a target's own affair
    choices = replace(choices, far=choices.far or bool(choices.targets))
    settings = _collect(wrong, make_settings, name, choices, profile)
    strategies = _collect(wrong, _strategies, choices, profile) or []
    targets = _collect(wrong, _targets, choices) or []
    specs = _collect(wrong, _scenarios, choices, profile) or []
    budget = settings.budget if settings else 1
    injected = _collect(wrong, parse_fault, choices.inject) if choices.inject else None
    made = [
        _collect(wrong, make_variant, spec, budget, fault, choices.cache)
        for spec in strategies
        # another checkout may not know of faults, and would run without
        for fault in ((None, injected) if injected and not spec.at else (None,))
    ]
    variants = [*filter(None, made), *targets]
    hosts = _collect(wrong, hosts_of, choices)
    usual = Reach()
    if settings is not None:
        usual = Reach(settings.rtt_ms, settings.broker_rtt_ms, settings.via, settings.tls)
    ladders = profile.get("ladders", {})
    planned = [
        each for spec in specs if (each := _collect(wrong, plan_scenario, spec, ladders, usual))
    ]
    if settings is not None and hosts is not None:
        wrong += _misfits(hosts, settings, variants, far=choices.far)
        wrong += wrong_workers(settings, hosts)
        several = Workers.of(settings, hosts).count > 1
        wrong += [
            f"{each.label} is offered by one load process: what it measures from one member to"
            " another would mix the clocks of several"
            for each in planned
            if each.websocket and several
        ]
    wrong += [
        f"{variant.label} cannot run {each.label}: a room lives in one process, not"
        f" {variant.processes}"
        for variant in variants
        for each in planned
        if each.websocket and variant.processes > 1
    ]
    wrong += [why for each in planned for why in impatient(each, variants, settings)]
    for each in planned if not choices.targets else ():
        workload = make_scenario(each.scenario, each.knobs).workload()
        if workload.data is NO_TABLES:
            wrong.append(
                f"{each.label} has no tables: it is asked of an application of yours, with --target"
            )
        if any(workload.operations[name].route.follow for name in each.mix):
            wrong.append(
                f"{each.label}: a route with follow=True is for an application of yours, with"
                " --target"
            )
    asks = settings is not None and settings.deployment and not (targets or choices.hosts)
    if asks and "deployment" not in added("AFTER_TURNS"):
        wrong.append(
            "--deployment: asyncdb_bench/extensions/deployment is not installed; leave it out, or"
            f" ask for --no-deployment where profile {name} has it"
        )
    if wrong or settings is None or hosts is None:
        raise UsageError("\n".join(dict.fromkeys(wrong)))
    seed = choices.seed if choices.seed is not None else random.SystemRandom().randrange(2**31)
    labelled = unique_labels(variants)
    wanted = with_companions(planned, settings)
    if targets or hosts.all:
        # nobody's application is killed to see how long it takes to come back
        settings = replace(settings, deployment=False)
    settings = patient(bounded_alone(settings, choices, labelled, wanted), wanted)
    by_name = choices.strategies not in (None, ALL)
    plan = Plan(seed, settings, labelled, wanted, (), hosts, by_name)
    return refusing(plan, refusals(labelled, wanted))


def impatient(
    asked: PlannedScenario, variants: Sequence[Variant], settings: Settings | None
) -> Iterator[str]:
    """Yield why nobody would wait for an answer of a scenario's overload, whatever the load."""
    if asked.overload is None or settings is None:
        return
    trip_ms = max([reach_of(asked, each).rtt_ms for each in variants], default=asked.reach.rtt_ms)
    query_ms = asked.asks.get("queries", 1) * asked.asks.get("ms", 0)
    least = f"{query_ms:g} ms in the database" + (f", {trip_ms:g} ms away" if trip_ms else "")
    for name, given in (
        ("patience", asked.overload.patience_ms),
        ("timeout", asked.overload.timeout_ms),
    ):
        if given and given <= query_ms + trip_ms:
            yield f"{asked.label}: {name}={given:g} ms is over before a request is done ({least})"
    if asked.overload.timeout_ms > settings.timeout_s * 1000:
        yield (
            f"{asked.label}: timeout={asked.overload.timeout_ms:g} ms is longer than the"
            f" application's general one of {settings.timeout_s:g} s"
        )


def hosts_of(choices: Choices) -> Hosts:
    """Return the machines that play a role in a run.

    Raises
    ------
    UsageError : the file says something that is not known, or nothing here reaches other machines.
    """
    if choices.hosts is None:
        return Hosts()
    if not (places := added("PLACES")):
        raise UsageError("--hosts: asyncdb_bench/extensions/hosts is not installed here")
    hosts: Hosts = loaded(places["read"])(choices.hosts)
    return hosts


def _misfits(
    hosts: Hosts, settings: Settings, variants: Sequence[Variant], *, far: bool
) -> list[str]:
    if not hosts.all:
        return []
    wrong: list[str] = loaded(added("PLACES")["misfits"])(hosts, settings, variants, far=far)
    return wrong


def bounded_alone(
    settings: Settings,
    choices: Choices,
    variants: Sequence[Variant],
    scenarios: Sequence[PlannedScenario],
) -> Settings:
    """Return the settings of a run, of one variant alone with less time: there is no ratio."""
    given = (choices.overrides or {}).get("time_budget_s") is not None
    climbed = all(climbs(settings, each) for each in scenarios)
    if len(variants) > 1 or given or climbed or not settings.time_budget_s:
        return settings
    return replace(settings, time_budget_s=min(settings.time_budget_s, ALONE_S))


def patient(settings: Settings, scenarios: Sequence[PlannedScenario]) -> Settings:
    """Return the settings with a timeout within which no request is given up that is in time."""
    longest_s = max(each.objective.p99_ms for each in scenarios) / 1000
    return replace(settings, timeout_s=max(settings.timeout_s, longest_s))


def with_companions(
    scenarios: Sequence[PlannedScenario], settings: Settings
) -> tuple[PlannedScenario, ...]:
    """Return scenarios, and beside those that take turns their pace at other round trips.

    What the database's distance does to an answer is then in the same run. What it does to a mix
    follows from its parts, and costs a tenth of a short run.
    """
    beside = [
        replace(
            asked,
            label=f"{asked.label}:rtt={rtt_ms:g}",
            request=f"{asked.request}:rtt={rtt_ms:g}",
            reach=replace(asked.reach, rtt_ms=rtt_ms),
            pace_only=True,
            beside=asked.label,
        )
        for asked in scenarios
        for rtt_ms in settings.beside_rtt_ms
        if not climbs(settings, asked)
        and not asked.pace_only
        and len(asked.mix) == 1
        and asked.reach.rtt_ms != rtt_ms
    ]
    known = {each.label for each in scenarios}
    return (*scenarios, *(each for each in beside if each.label not in known))


def usual_profile(scenarios: str) -> str:
    """Return the profile that the first scenario planned for is measured by where none is named."""
    try:
        (first, *_) = parse_specs(scenarios)
        return scenario_class(first.name).profile
    except (BenchError, ValueError):
        # whatever is wrong with the request is said with all else that is
        return Scenario.profile


def wanted_specs(choices: Choices, profiles: Mapping[str, Mapping[str, Any]]) -> list[Spec]:
    """Return the strategies that are planned for, or else the profile's."""
    if choices.profile not in profiles:
        raise UnknownNameError("profile", choices.profile, profiles)
    return _specs(choices.strategies, profiles[choices.profile]["strategies"], "strategies")


Given = ParamSpec("Given")
T = TypeVar("T")


def _collect(
    wrong: list[str], make: Callable[Given, T], *given: Given.args, **named: Given.kwargs
) -> T | None:
    try:
        return make(*given, **named)
    except BenchError as error:
        wrong.append(str(error))
        return None


def _targets(choices: Choices) -> list[Variant]:
    """Return the applications of others that are asked for; refuse what goes with ours alone."""
    if not choices.targets:
        return []
    own = {
        "--strategy": choices.strategies,
        "--vary": choices.vary,
        "--inject": choices.inject,
        **{
            f"--{name.removesuffix('_ms').replace('_', '-')}": (choices.overrides or {}).get(name)
            for name in ("rtt_ms", "broker_rtt_ms", "via", "tls", "deployment")
        },
    }
    if given := [name for name, value in own.items() if value]:
        raise UsageError(
            f"{given[0]} goes with our strategies: a --target is compared with another --target"
        )
    if not choices.scenarios:
        raise UsageError(
            f"--target needs --scenario path/to/file.py:Class: what to ask it for; `{PROGRAM} new"
            " scenario NAME` starts one"
        )
    return target_variants(choices.targets, choices.pids, owned=choices.owned)


def _specs(given: str | None, default: Sequence[str], kind: str) -> list[Spec]:
    if given == ALL or (given is None and list(default) == ["*"]):
        return [Spec(name, {}) for name in names(kind)]
    specs = parse_specs(given if given is not None else ",".join(default))
    if not specs:
        raise UsageError(f"no {kind} given; known: {', '.join(known(kind))}")
    return [each for spec in specs for each in _ungrouped(spec, kind)]


def _ungrouped(spec: Spec, kind: str) -> list[Spec]:
    """Return a request, or one for each member of the group that it names.

    Raises
    ------
    UsageError : a group with knobs, which its members need not have in common.
    """
    if spec.name not in groups(kind):
        return [spec]
    if spec.knobs or spec.at:
        raise UsageError(
            f"{spec.request}: {spec.name} stands for {', '.join(members(kind, spec.name))}; give"
            " knobs to each of them"
        )
    return [Spec(name, {}) for name in members(kind, spec.name)]


def _strategies(choices: Choices, profile: Mapping[str, Any]) -> list[Spec]:
    if choices.targets:
        return []
    specs = _specs(choices.strategies, profile["strategies"], "strategies")
    varies = [parse_vary(each) for each in choices.vary]
    return varied(specs, varies, named=choices.strategies is not None) if varies else specs


def _scenarios(choices: Choices, profile: Mapping[str, Any]) -> list[Spec]:
    return [
        Spec(spec.name, knobs, spec.at)
        for spec in _specs(choices.scenarios, profile["scenarios"], "scenarios")
        for knobs in scenario_class(spec.name).expand(spec.knobs)
    ]
