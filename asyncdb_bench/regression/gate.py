"""The gate: base and head interleaved until it is decided, or two stored runs of one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asyncdb_bench.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_REGRESSED,
    BenchError,
    UsageError,
)
from asyncdb_bench.plan.faults import parse_fault
from asyncdb_bench.plan.planner import make_plan, wanted_specs
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.plan.request import Choices, Spec
from asyncdb_bench.plan.schedule import order, takes_turns
from asyncdb_bench.plan.targets import at_checkout, repository
from asyncdb_bench.plan.variants import make_variant
from asyncdb_bench.records.atomic_files import append_text, write_text
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Plan, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.regression.base_checkout import checked_out, revision_of
from asyncdb_bench.regression.decision import (
    Decision,
    GateResult,
    Interim,
    Rules,
    at_the_end,
    overall_verdict,
)
from asyncdb_bench.regression.effects import (
    CAPACITY,
    GATED,
    TURN_GATED,
    Figure,
    FigureEffect,
)
from asyncdb_bench.regression.exports import gate_junit, gate_markdown
from asyncdb_bench.regression.gate_schedule import (
    GateSchedule,
    blocks_that_fit,
    decisions_of,
    turn_blocks_that_fit,
)
from asyncdb_bench.regression.pages import render_gate
from asyncdb_bench.regression.pairs import Pair, pairs_of
from asyncdb_bench.regression.sides import contrasts
from asyncdb_bench.run import Finished, Places, note_schedule, run_schedule
from asyncdb_bench.trial.schedule_loop import Display

CODES = {
    "pass": EXIT_DONE,
    "improve": EXIT_DONE,
    "regress": EXIT_REGRESSED,
    "inconclusive": EXIT_INVALID,
    "invalid": EXIT_INVALID,
}
TAIL = 8

MakeDisplay = Callable[[Plan], AbstractContextManager[Display]]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where else the result goes: JUnit XML and Markdown (appended); None: nowhere."""

    junit: Path | None = None
    summary: Path | None = None


@dataclass(frozen=True, slots=True)
class Gated:
    """How a gate ended."""

    result: GateResult
    page: Path
    exit_code: int
    folder: RunFolder | None = None


def run_gate(
    choices: Choices,
    base: str,
    rules: Rules,
    places: Places,
    outputs: Outputs,
    make_display: MakeDisplay,
    say: Callable[[str], None],
    command: Sequence[str] = (),
) -> Gated:
    """Measure this checkout against a revision and decide.

    Parameters
    ----------
    choices : strategies, scenarios, profile, budgets; `inject` puts a fault into head.
    base : a revision of git.
    rules : how to decide.
    places : where results and reports go.
    outputs : where the result goes besides.
    make_display : makes what is shown while the plan is measured.
    say : told of what takes long before.
    command : how it was asked for.

    Raises
    ------
    UsageError : no such revision, or anything wrong with the choices.
    ServiceError : PostgreSQL did not start, or the base cannot be checked out.
    """
    plan = make_plan(replace(choices, inject=""), read_profiles())
    root, whose = repository_of(plan)
    full = revision_of(base, root)
    say(f"base {base} is {full[:12]}; head is {whose}")
    with checked_out(base, say, root) as folder:
        prepared = prepare(plan, choices, folder, rules)
        figures = fitted(plan, len(prepared.heads), rules, say)
        finished = run_schedule(
            prepared.plan,
            places,
            make_display(prepared.plan),
            lambda plan: GateSchedule(plan, prepared.pairs, rules, figures),
            command,
        )
    schedule = finished.schedule
    schedule.conclude(finished.results)
    note_schedule(finished.folder, schedule)
    result = result_of(finished, f"{base} ({full[:12]})", choices.inject, prepared.problem)
    interrupted = finished.exit_code == EXIT_INTERRUPTED
    return finish(result, finished.folder, places, outputs, interrupted=interrupted)


def repository_of(plan: Plan) -> tuple[Path, str]:
    """Return the repository whose revisions a gate compares, and what it is called.

    Raises
    ------
    UsageError : its targets are of several, or one has no command that another revision could run.
    """
    targets = [each.target for each in plan.variants if each.target is not None]
    if not targets:
        return CHECKOUT, "this checkout"
    for each in targets:
        if not each.command:
            raise UsageError(
                f"{each.name} runs already: a gate starts two revisions of an application; give its"
                " command in [targets.NAME] of bench.toml"
            )
    roots = sorted({repository(each) for each in targets})
    if len(roots) > 1:
        raise UsageError(f"the targets are of several repositories: {', '.join(map(str, roots))}")
    return roots[0], f"{roots[0]} as it stands"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a gate measures.

    Parameters
    ----------
    plan : base twice and head of each strategy, and what would run at most, for the estimate.
    pairs : what to decide.
    heads : the heads by strategy.
    problem : why base cannot be measured; empty where it can.
    """

    plan: Plan
    pairs: list[Pair]
    heads: list[tuple[str, Variant]]
    problem: str


def prepare(plan: Plan, choices: Choices, folder: Path, rules: Rules) -> Prepared:
    """Return what a gate measures.

    Parameters
    ----------
    plan : of the choices, without their fault.
    choices : for the requests, and the fault to inject into head.
    folder : where base is checked out.
    rules : for the blocks at most.
    """
    injected = parse_fault(choices.inject) if choices.inject else None
    budget = plan.settings.budget
    heads: list[tuple[str, Variant]] = []
    bases: list[list[Variant]] = []
    problem = ""
    for variant in (each for each in plan.variants if each.target is not None):
        label = f"{variant.label}@base"
        made = at_checkout(variant, folder, label)
        heads.append((variant.label, variant))
        bases.append([made, replace(made, label=f"{label}#2")])
    for spec in () if choices.targets else wanted_specs(choices, read_profiles()):
        heads.append((spec.label, make_variant(spec, budget, injected)))
        copies: list[Variant] = []
        if not problem:
            try:
                made = make_variant(Spec(spec.name, spec.knobs, str(folder)), budget)
            except BenchError as error:
                problem = str(error)
            else:
                label = f"{spec.label}@base"
                copies = [replace(made, label=label), replace(made, label=f"{label}#2")]
        bases.append(copies)
    pairs = pairs_of(heads, bases, plan.scenarios)
    for pair in pairs:
        pair.doubt = "" if pair.base else f"base cannot be made: {problem}"
    variants = tuple(each for group in bases for each in group) + tuple(v for _, v in heads)
    settings = replace(plan.settings, blocks=rules.most)
    trials = order(variants, plan.scenarios, rules.most, plan.seed)
    whole = replace(plan, variants=variants, settings=settings, trials=trials)
    return Prepared(whole, pairs, heads, problem)


def fitted(
    plan: Plan, strategies: int, rules: Rules, say: Callable[[str], None]
) -> tuple[Figure, ...]:
    """Return the figures that climbing pairs have time for, and say what was left out.

    Pairs that take turns have all of theirs.
    """
    scenarios, settings = len(plan.scenarios), plan.settings
    turning = [each for each in plan.scenarios if takes_turns(settings, each)]
    if turning:
        fits = turn_blocks_that_fit(settings, len(turning), strategies)
        if fits < rules.first:
            say(
                f"note: {settings.time_budget_s / 60:.0f} min hold about {fits} blocks, and nothing"
                f" is decided before {rules.first}: give it more time, or fewer strategies or"
                " scenarios"
            )
        if len(turning) == scenarios:
            return GATED
    fits = blocks_that_fit(settings, scenarios, strategies, with_capacity=True)
    if fits >= rules.first:
        return GATED
    short = blocks_that_fit(settings, scenarios, strategies, with_capacity=False)
    budget = f"{settings.time_budget_s / 60:.0f} min hold about"
    if short < rules.first:
        say(
            f"note: {budget} {fits} blocks, and nothing is decided before {rules.first}: give it"
            " more time, or fewer strategies or scenarios"
        )
        return GATED
    say(
        f"note: {budget} {fits} blocks with capacities, {short} without: capacities are left out;"
        " more time, or fewer strategies or scenarios, bring them back"
    )
    return tuple(figure for figure in GATED if figure is not CAPACITY)


def result_of(finished: Finished[GateSchedule], base: str, fault: str, problem: str) -> GateResult:
    """Return what a gate decided."""
    schedule = finished.schedule
    decisions = decisions_of(schedule, problem)
    manifest = finished.folder.manifest()
    own = head_git(manifest)
    dirty = " with changes that are not committed" if own.get("dirty") else ""
    head = f"{str(own.get('revision', 'this checkout'))[:12]}{dirty}"
    return GateResult(
        base=base,
        head=f"{head}, with {fault} injected" if fault else head,
        verdict=overall_verdict(each.verdict for each in decisions),
        decisions=tuple(decisions),
        blocks=schedule.blocks,
        confirmation_blocks=schedule.confirming,
        notes=tuple(notes_of(finished, manifest)),
        rules=schedule.rules,
    )


def head_git(manifest: Manifest) -> Mapping[str, Any]:
    """Return what git says of what is judged: this checkout, or where a target was started."""
    for variant in manifest.plan.variants:
        if variant.target is not None and "@base" not in variant.label:
            return variant.target.git
    return manifest.git


def notes_of(finished: Finished[GateSchedule], manifest: Manifest) -> Iterator[str]:
    """Yield what a reader should know: other versions, logs of what did not start."""
    elsewhere = next((v.elsewhere for v in manifest.plan.variants if v.elsewhere), None)
    if elsewhere is not None:
        for name, version in manifest.versions.items():
            theirs = elsewhere.versions.get(name, version)
            if theirs != version:
                yield f"base runs {name} {theirs}, head {version}"
    seen: set[str] = set()
    for end in finished.results.ends:
        if end.failure and end.variant not in seen:
            seen.add(end.variant)
            yield f"{end.scenario} · {end.variant} failed: {end.failure}"
            log = finished.folder.logs / f"{end.trial}-app.log"
            if log.is_file():
                lines = log.read_text(errors="replace").strip().splitlines()[-TAIL:]
                yield from (f"its log: {line}" for line in lines)


def gate_against(base: str, head: str, rules: Rules, places: Places, outputs: Outputs) -> Gated:
    """Decide on two stored runs of one machine by their comparison; measures nothing.

    Their blocks were not interleaved, so this is the weaker gate: what the machine did between
    the runs looks like a change, and nothing is confirmed.

    Parameters
    ----------
    base, head : run ids or folders.
    rules, places, outputs : as :func:`gate`.

    Raises
    ------
    UsageError : no such run, or nothing in common.
    StoreError : a run cannot be read.
    """
    (contrast,) = contrasts(base, [head], "latest", places.results)
    doubt = None
    if contrast.invalidating:
        doubt = Doubt(DoubtKind.DIFFERENT_RUNS, subject="; ".join(contrast.invalidating))
    decisions = [
        stored_decision(row, rules, doubt)
        for effects in contrast.effects.values()
        for row in effects
        if row.figure in (*GATED, *TURN_GATED)
    ]
    result = GateResult(
        base=contrast.base,
        head=contrast.head,
        verdict=overall_verdict(each.verdict for each in decisions),
        decisions=tuple(decisions),
        blocks=min((each.interim.n for each in decisions if each.interim.n), default=0),
        confirmation_blocks=0,
        notes=(
            *contrast.invalidating,
            *contrast.warnings,
            "`gate --base` measures both in the same blocks and confirms",
            *contrast.left_out,
        ),
        rules=rules,
    )
    return finish(result, None, places, outputs, interrupted=False)


def stored_decision(row: FigureEffect, rules: Rules, doubt: Doubt | None) -> Decision:
    """Return the decision that an effect between two stored runs stands for.

    Parameters
    ----------
    row : the effect, with its 95 % interval.
    rules : for the threshold.
    doubt : why the runs cannot be compared at all; None where they can.
    """
    return Decision(
        scenario=row.scenario,
        strategy=row.head,
        figure=row.figure,
        offered_rps=row.offered_rps,
        base_mean=row.base_mean,
        head_mean=row.head_mean,
        interim=_of_effect(row, rules),
        doubt=doubt or row.doubt,
    )


def _of_effect(row: FigureEffect, rules: Rules) -> Interim:
    threshold, effect = 1 + rules.least, row.effect
    if effect is None:
        return Interim("invalid", 0, 1.0, threshold=threshold)
    ratio, low, high = effect.ratio, effect.low, effect.high
    if row.figure.more_is_better:
        ratio = 1 / ratio
        low, high = (1 / high, 1 / low) if low and high else (None, None)
    seen = Interim("inconclusive", effect.n, ratio, low, high, threshold, 1.0, effect.mde)
    if low is None or high is None:
        return seen
    if low > threshold:
        return replace(seen, verdict="regress")
    if high < 1 / threshold:
        return replace(seen, verdict="improve")
    if high < min(threshold, 1 + rules.detect):
        return replace(seen, verdict="pass")
    return replace(seen, verdict=at_the_end(seen, rules))


def finish(
    result: GateResult,
    folder: RunFolder | None,
    places: Places,
    outputs: Outputs,
    *,
    interrupted: bool,
) -> Gated:
    """Write the result wherever it goes."""
    name = folder.run_id if folder else f"gate-{result.base}-{result.head}"
    page = places.reports / name / ("gate.html" if folder else "index.html")
    write_text(page, render_gate(result, has_report=folder is not None))
    write_text(page.with_name("gate.md"), gate_markdown(result))
    if folder is not None:
        folder.write_gate(result)
    if outputs.junit is not None:
        write_text(outputs.junit, gate_junit(result))
    if outputs.summary is not None:
        append_text(outputs.summary, gate_markdown(result))
    code = EXIT_INTERRUPTED if interrupted else CODES[result.verdict]
    return Gated(result, page, code, folder)
