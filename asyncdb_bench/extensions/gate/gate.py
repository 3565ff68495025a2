"""The gate: base and head interleaved until it is decided, or two stored runs of one machine."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.cli.progress import make_progress
from asyncdb_bench.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_REGRESSED,
    BenchError,
    UsageError,
)
from asyncdb_bench.extensions.gate.base_checkout import checked_out, revision_of
from asyncdb_bench.extensions.gate.decision import (
    CLIMBED,
    GATED,
    Decision,
    GateResult,
    Pair,
    Rules,
    judge,
    pairs_of,
    said_of_all,
)
from asyncdb_bench.extensions.gate.page import gate_junit, gate_markdown, gate_page
from asyncdb_bench.extensions.gate.schedule import GateSchedule
from asyncdb_bench.plan.named_versions import is_named, parse_versions
from asyncdb_bench.plan.planner import make_plan, wanted_specs
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.plan.request import Choices, Spec
from asyncdb_bench.plan.targets import at_checkout, repository
from asyncdb_bench.plan.variants import make_variant, parse_fault
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.files import append_text, write_text
from asyncdb_bench.records.plan import Plan, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.report.sides import contrasts
from asyncdb_bench.whole_run import Finished, Places, note_schedule, run_schedule

CODES = {
    Said.SAME: EXIT_DONE,
    Said.BETTER: EXIT_DONE,
    Said.WORSE: EXIT_REGRESSED,
    Said.UNKNOWN: EXIT_INVALID,
    Said.UNSOUND: EXIT_INVALID,
}
NOT_IN_BOTH = Doubt(DoubtKind.NOT_MEASURED, subject="not measured in both at one load")
TAIL = 8
"""Lines of a log that are shown of what did not start."""


@dataclass(frozen=True, slots=True)
class Gated:
    """How a gate ended; `folder` is that of its run, None where nothing was measured."""

    result: GateResult
    folder: RunFolder | None = None
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """1 only where something got worse."""
        return EXIT_INTERRUPTED if self.interrupted else CODES[self.result.said]


def run_gate(
    choices: Choices, base: str, rules: Rules, places: Places, say: Callable[[str], None]
) -> Gated:
    """Measure this checkout against a revision and decide.

    Parameters
    ----------
    choices : strategies, scenarios, profile, budgets; `inject` puts a fault into head.
    base : a revision of git.
    rules : how to decide.
    places : where results and reports go.
    say : told of what takes long.

    Raises
    ------
    UsageError : no such revision, or anything wrong with the choices.
    ServiceError : PostgreSQL did not start, or the base cannot be checked out.
    """
    plan = make_plan(replace(choices, inject=""), read_profiles())
    root, whose = repository_of(plan)
    full = revision_of(base, root)
    say(f"base {base} is {full[:12]}; head is {whose}")
    with checked_out(full, say, root) as folder:
        prepared, pairs = prepare(plan, choices, folder)
        return _measured(prepared, pairs, f"{base} ({full[:12]})", choices, rules, places)


def run_gate_of_versions(
    choices: Choices, versions: str, rules: Rules, places: Places, say: Callable[[str], None]
) -> Gated:
    """Measure this checkout against itself with other versions and decide.

    Parameters, raises: as :func:`run_gate`.

    versions : of base: ``sqlalchemy==2.0.44``.
    """
    if not is_named(versions):
        raise UsageError(f"--base-env {versions!r} should read NAME==VERSION")
    parse_versions(versions)
    if choices.targets:
        raise UsageError("--base-env goes with our strategies: a --target has its own environment")
    plan = make_plan(replace(choices, inject=""), read_profiles())
    say(f"base is this checkout with {versions}; head is this checkout")
    prepared, pairs = prepare(plan, choices, versions)
    for each in prepared.variants:
        if each.not_run:
            say(f"{each.label}: not run, because {each.not_run}")
    return _measured(prepared, pairs, versions, choices, rules, places)


def _measured(
    plan: Plan, pairs: list[Pair], base: str, choices: Choices, rules: Rules, places: Places
) -> Gated:
    """Measure what a gate has prepared and decide; `base` is what its page calls it."""
    finished = run_schedule(
        plan,
        places,
        make_progress(plan),
        lambda plan, manifest: GateSchedule(plan, pairs, rules, manifest.launches),
        sys.argv[1:],
    )
    note_schedule(finished.folder, finished.schedule)
    result = result_of(finished, base, choices.inject)
    finished.folder.write_gate(result)
    return Gated(result, finished.folder, finished.exit_code == EXIT_INTERRUPTED)


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


def prepare(plan: Plan, choices: Choices, base: Path | str) -> tuple[Plan, list[Pair]]:
    """Return the plan with base twice and head of each strategy, and what to decide.

    Parameters
    ----------
    plan : of the choices, without their fault.
    choices : for the requests, and the fault to inject into head.
    base : where it is checked out, or its versions.
    """
    injected = parse_fault(choices.inject) if choices.inject else None
    budget = plan.settings.budget
    sides: list[tuple[str, Variant, tuple[Variant, ...]]] = [
        (each.label, each, _twice(at_checkout(each, Path(base), each.label), each.label))
        for each in plan.variants
        if each.target is not None
    ]
    problem = ""
    for spec in () if choices.targets else wanted_specs(choices, read_profiles()):
        copies: tuple[Variant, ...] = ()
        if not problem:
            try:
                at = Spec(spec.name, spec.knobs, str(base))
                made = make_variant(at, budget, cache=choices.cache)
            except BenchError as error:
                problem = str(error)
            else:
                copies = _twice(made, spec.label)
        sides.append((spec.label, make_variant(spec, budget, injected), copies))
    bases = tuple(each for _, _, copies in sides for each in copies)
    variants = bases + tuple(head for _, head, _ in sides)
    return replace(plan, variants=variants), pairs_of(sides, plan.scenarios, problem)


def _twice(base: Variant, label: str) -> tuple[Variant, Variant]:
    return replace(base, label=f"{label}@base"), replace(base, label=f"{label}@base#2")


def result_of(finished: Finished[GateSchedule], base: str, fault: str) -> GateResult:
    """Return what a gate decided."""
    schedule = finished.schedule
    decisions = schedule.conclude(finished.results.ends)
    manifest = finished.folder.manifest()
    own = head_git(manifest)
    dirty = " with changes that are not committed" if own.get("dirty") else ""
    head = f"{str(own.get('revision', 'this checkout'))[:12]}{dirty}"
    return GateResult(
        base=base,
        head=f"{head}, with {fault} injected" if fault else head,
        said=said_of_all(decisions),
        decisions=tuple(decisions),
        launches=schedule.launches,
        rounds=max((pair.rounds for pair in schedule.pairs), default=0),
        confirming=schedule.confirming,
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
        yield from (f"base runs {each}" for each in elsewhere.differing(manifest.versions))
    seen: set[str] = set()
    for end in finished.results.ends:
        if end.failure and end.variant not in seen:
            seen.add(end.variant)
            yield f"{end.scenario} · {end.variant} failed: {end.failure}"
            log = finished.folder.logs / f"{end.trial}-app.log"
            if log.is_file():
                lines = log.read_text(errors="replace").strip().splitlines()[-TAIL:]
                yield from (f"its log: {line}" for line in lines)


def gate_against(base: str, head: str, rules: Rules, results: Path) -> Gated:
    """Decide on two stored runs of one machine by their comparison; measures nothing.

    They were not interleaved, so this is the weaker gate: what the machine did between
    the runs looks like a change, and nothing is confirmed.

    Parameters
    ----------
    base, head : run ids or folders.
    rules : how to decide.
    results : the folder of results.

    Raises
    ------
    UsageError : no such run, or nothing in common.
    StoreError : a run cannot be read.
    """
    (contrast,) = contrasts(base, [head], "latest", results)
    doubt = None
    if contrast.invalidating:
        doubt = Doubt(DoubtKind.DIFFERENT_RUNS, subject="; ".join(contrast.invalidating))
    decisions: list[Decision] = []
    for row in itertools.chain(*contrast.compared.values()):
        metric = row.answer.metric
        if metric not in (*GATED, *CLIMBED):
            continue
        judged = judge(metric, row.answer.ratio, rules, rules.alpha, final=True)
        decisions.append(
            Decision(
                row.scenario,
                row.answer.other,
                metric,
                row.offered_rps,
                row.base_value,
                row.head_value,
                judged,
                doubt=doubt if doubt or judged.rounds else NOT_IN_BOTH,
            )
        )
    result = GateResult(
        base=contrast.base,
        head=contrast.head,
        said=said_of_all(decisions),
        decisions=tuple(decisions),
        launches=min((e.judged.launches for e in decisions if e.judged.rounds), default=0),
        rounds=max((each.judged.rounds for each in decisions), default=0),
        confirming=False,
        notes=(
            *contrast.invalidating,
            *contrast.warnings,
            "`gate --base` measures both in the same rounds and confirms",
            *contrast.left_out,
        ),
        rules=rules,
    )
    return Gated(result)


def write_gate(ended: Gated, places: Places, junit: Path | None, summary: Path | None) -> Path:
    """Write the result wherever it goes, and return where its page is.

    Parameters
    ----------
    ended : the result.
    places : of the page and its Markdown.
    junit : JUnit XML; None: nowhere.
    summary : Markdown, appended; None: nowhere.

    Raises
    ------
    StoreError : not writable.
    """
    result, folder = ended.result, ended.folder
    name = folder.run_id if folder else f"gate-{result.base}-{result.head}"
    page = places.reports / name / ("gate.html" if folder else "index.html")
    write_text(page, gate_page(result, "index.html" if folder else ""))
    write_text(page.with_name("gate.md"), gate_markdown(result))
    if junit is not None:
        write_text(junit, gate_junit(result))
    if summary is not None:
        append_text(summary, gate_markdown(result))
    return page
