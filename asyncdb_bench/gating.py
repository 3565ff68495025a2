"""`gate`: base and head interleaved until it is decided, or two stored runs of one machine."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from asyncdb_bench import store
from asyncdb_bench.compare import find_side
from asyncdb_bench.effects import CAPACITY, GATED, Figure, by_block, reference_load
from asyncdb_bench.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_REGRESSED,
    BenchError,
    UsageError,
)
from asyncdb_bench.fault import parse_fault
from asyncdb_bench.gate import (
    GateCell,
    GateResult,
    Look,
    Rules,
    estimate_between,
    look_at,
    overall,
)
from asyncdb_bench.gatefiles import junit, markdown
from asyncdb_bench.model import Manifest, Plan, Variant
from asyncdb_bench.night import Night, Pair, blocks_that_fit, cells_of, pairs_of
from asyncdb_bench.plan import Choices, make_plan, make_variant, order, read_profiles, wanted_specs
from asyncdb_bench.plugins import Spec
from asyncdb_bench.report.gate_page import render_gate
from asyncdb_bench.run import Outcome, Places, relative
from asyncdb_bench.run import run as run_plan
from asyncdb_bench.sides import Side, differences, unlike
from asyncdb_bench.worktree import checked_out, revision_of

CODES = {
    "pass": EXIT_DONE,
    "improve": EXIT_DONE,
    "regress": EXIT_REGRESSED,
    "inconclusive": EXIT_INVALID,
    "invalid": EXIT_INVALID,
}
TAIL = 8
STYLES = {"regress": "red", "invalid": "red", "inconclusive": "yellow", "improve": "green"}


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
    folder: store.RunFolder | None = None


def gate(
    choices: Choices,
    base: str,
    rules: Rules,
    places: Places,
    outputs: Outputs,
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
    command : how it was asked for.

    Raises
    ------
    UsageError : no such revision, or anything wrong with the choices.
    ServiceError : PostgreSQL did not start, or the base cannot be checked out.
    """
    full = revision_of(base)
    fault = choices.inject
    plan = make_plan(replace(choices, inject=""), read_profiles())
    _say(f"base {base} is {full[:12]}; head is this checkout")
    with checked_out(base, _say) as folder:
        gate_plan, night, problem = prepare(plan, choices, folder, fault, rules)
        outcome = run_plan(gate_plan, places, command, night)
    result = result_of(night, outcome, f"{base} ({full[:12]})", fault, problem)
    return finish(
        result, outcome.folder, places, outputs, interrupted=outcome.exit_code == EXIT_INTERRUPTED
    )


def prepare(
    plan: Plan, choices: Choices, folder: Path, fault: str, rules: Rules
) -> tuple[Plan, Night, str]:
    """Return the plan of a night, what runs it, and why base cannot be measured (or nothing)."""
    injected = parse_fault(fault) if fault else None
    budget = plan.settings.budget
    heads: list[tuple[str, Variant]] = []
    bases: list[list[Variant]] = []
    problem = ""
    for spec in wanted_specs(choices, read_profiles()):
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
    # what would run at most, for the estimate; the night says in the end what did
    ordered = order(variants, plan.scenarios, rules.most, plan.seed)
    whole = replace(plan, variants=variants, settings=settings, trials=ordered)
    return whole, Night(pairs, rules, fitted(plan, len(heads), rules)), problem


def fitted(plan: Plan, strategies: int, rules: Rules) -> tuple[Figure, ...]:
    """Return the figures that the time budget allows to decide on, and say what was left out."""
    scenarios = len(plan.scenarios)
    settings = plan.settings
    fits = blocks_that_fit(settings, scenarios, strategies, with_capacity=True)
    if fits >= rules.first:
        return GATED
    short = blocks_that_fit(settings, scenarios, strategies, with_capacity=False)
    budget = f"{settings.time_budget_s / 60:.0f} min hold about"
    if short < rules.first:
        _say(
            f"note: {budget} {fits} blocks, and nothing is decided before {rules.first}: give it"
            " more time, or fewer strategies or scenarios"
        )
        return GATED
    _say(
        f"note: {budget} {fits} blocks with capacities, {short} without: capacities are left out;"
        " more time, or fewer strategies or scenarios, bring them back"
    )
    return tuple(figure for figure in GATED if figure is not CAPACITY)


def result_of(night: Night, outcome: Outcome, base: str, fault: str, problem: str) -> GateResult:
    """Return what a night decided."""
    cells = cells_of(night, problem)
    manifest = outcome.folder.manifest()
    dirty = " with changes that are not committed" if manifest.git.get("dirty") else ""
    head = f"{str(manifest.git.get('revision', 'this checkout'))[:12]}{dirty}"
    return GateResult(
        base=base,
        head=f"{head}, with {fault} injected" if fault else head,
        verdict=overall(cell.verdict for cell in cells),
        cells=tuple(cells),
        blocks=night.blocks,
        confirmation_blocks=night.confirming,
        notes=tuple(notes_of(night, manifest, outcome.folder)),
        rules=night.rules,
    )


def notes_of(night: Night, manifest: Manifest, folder: store.RunFolder) -> Iterator[str]:
    """Yield what a reader should know: other versions, logs of what did not start."""
    for variant in manifest.plan.variants:
        if variant.elsewhere is not None and not variant.label.endswith("#2"):
            theirs = variant.elsewhere.versions
            for name, version in manifest.versions.items():
                if theirs.get(name, version) != version:
                    yield f"base runs {name} {theirs[name]}, head {version}"
            break
    seen: set[str] = set()
    for end in night.ends:
        if end.failure and end.variant not in seen:
            seen.add(end.variant)
            yield f"{end.scenario} · {end.variant} failed: {end.failure}"
            log = folder.logs / f"{end.trial}-app.log"
            if log.is_file():
                lines = log.read_text(errors="replace").strip().splitlines()[-TAIL:]
                yield from (f"its log: {line}" for line in lines)


def gate_against(base: str, head: str, rules: Rules, places: Places, outputs: Outputs) -> Gated:
    """Decide on two stored runs of one machine; measures nothing.

    Their blocks were not interleaved, so this is the weaker gate: what the machine did between
    the runs looks like a change. The noise floor is what the base run's calibration showed.

    Parameters
    ----------
    base, head : run ids or folders.
    rules, places, outputs : as :func:`gate`.

    Raises
    ------
    UsageError : no such run, or nothing in common.
    StoreError : a run cannot be read.
    """
    one, other = (
        find_side(base, "latest", places.results),
        find_side(head, "latest", places.results),
    )
    if one.title == other.title:
        raise UsageError(f"{one.title} is gated against itself; name another run")
    loud, quiet = differences(one.manifest, other.manifest)
    cells = stored_cells(one, other, rules, "; ".join(loud))
    if not cells:
        raise UsageError(f"{one.title} and {other.title} share no scenario and strategy")
    blocks = min(one.manifest.plan.settings.blocks, other.manifest.plan.settings.blocks)
    result = GateResult(
        base=one.title,
        head=other.title,
        verdict=overall(cell.verdict for cell in cells),
        cells=tuple(cells),
        blocks=blocks,
        confirmation_blocks=0,
        notes=(
            *loud,
            "two stored runs, not interleaved: what changed on the machine between them counts as"
            " a change; `gate --base` measures both in the same blocks and confirms",
            *quiet,
        ),
        rules=rules,
    )
    return finish(result, None, places, outputs, interrupted=False)


def stored_cells(one: Side, other: Side, rules: Rules, doubt: str) -> list[GateCell]:
    """Return the decisions on what two stored runs have in common.

    Parameters
    ----------
    one, other : base and head.
    rules : how to decide.
    doubt : why all of it is invalid; empty where it is not.
    """
    theirs = {each.label: each for each in other.manifest.plan.scenarios}
    labels = {each.label for each in other.manifest.plan.variants}
    calibration = one.manifest.calibration
    cells = []
    for asked in one.manifest.plan.scenarios:
        if asked.label not in theirs:
            continue
        why = doubt or unlike(asked, theirs[asked.label])
        for variant in one.manifest.plan.variants:
            if variant.label not in labels:
                continue
            pair = Pair(variant.label, asked, (), variant.label)
            noise = dict(calibration.noise) if calibration else {}
            rows = [
                side.steps[
                    (side.steps.scenario == asked.label) & (side.steps.variant == variant.label)
                ]
                for side in (one, other)
            ]
            load = reference_load(*rows)
            cells += [_stored(pair, figure, rows, load, rules, noise, why) for figure in GATED]
    return cells


def _stored(
    pair: Pair,
    figure: Figure,
    rows: Sequence[pd.DataFrame],
    load: float | None,
    rules: Rules,
    noise: dict[str, float],
    doubt: str,
) -> GateCell:
    sides = [by_block(each, figure, load, pair.asked.objective.p99_ms) for each in rows]
    values = [[v for v in side.values() if v + figure.floor > 0] for side in sides]
    cell = GateCell(
        pair.asked.label,
        pair.strategy,
        figure,
        None if figure is CAPACITY else load,
        float(np.median(values[0])) if values[0] else None,
        float(np.median(values[1])) if values[1] else None,
        Look("invalid", 0, 1.0),
        doubt=doubt,
    )
    if not all(values):
        lacking = "no block of one of them has a sound measurement at a common load"
        return replace(cell, doubt=doubt or lacking)
    sign = -1.0 if figure.more_is_better else 1.0
    logs = [[sign * math.log(value + figure.floor) for value in side] for side in values]
    found = estimate_between(*logs)
    # calibrated is what a single pair stays within; a mean of n stays within less
    floor = noise.get(figure.name, 1.0) ** (1 / math.sqrt(found.n))
    return replace(cell, look=look_at(found, floor, rules, rules.most, final=True))


def finish(
    result: GateResult,
    folder: store.RunFolder | None,
    places: Places,
    outputs: Outputs,
    *,
    interrupted: bool,
) -> Gated:
    """Write the result wherever it goes."""
    name = folder.run_id if folder else f"gate-{result.base}-{result.head}"
    page = places.reports / name / ("gate.html" if folder else "index.html")
    store.write_text(page, render_gate(result, has_report=folder is not None))
    store.write_text(page.with_name("gate.md"), markdown(result))
    if folder is not None:
        folder.write_gate(result)
    if outputs.junit is not None:
        store.write_text(outputs.junit, junit(result))
    if outputs.summary is not None:
        store.append_text(outputs.summary, markdown(result))
    code = EXIT_INTERRUPTED if interrupted else CODES[result.verdict]
    return Gated(result, page, code, folder)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a verb's progress


def default_summary() -> Path | None:
    """Return where a GitHub workflow collects its job's summary, if this is one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return Path(path) if path else None


def print_gated(ended: Gated) -> None:
    """Print the decisions, where they are written, and the verdict."""
    from rich.table import Table
    from rich.text import Text

    from asyncdb_bench.console import wide_console
    from asyncdb_bench.gatefiles import change

    console, result = wide_console(), ended.result
    table = Table(title=f"{result.head} against {result.base}", title_justify="left", box=None)
    for name in ("scenario", "strategy", "figure"):
        table.add_column(name, no_wrap=True)
    for name in ("change", "A/A", "blocks"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for cell in result.cells:
        changed = change(cell)
        table.add_row(
            Text(cell.scenario),
            Text(cell.strategy),
            cell.figure.title,
            "–" if changed is None else f"{changed:+.1%}",
            f"{cell.look.noise - 1:.1%}" if cell.look.noise > 1 else "–",
            str(cell.look.n),
            Text(cell.words, STYLES.get(cell.verdict, "")),
        )
    console.print(table)
    for note in result.notes:
        console.print(Text(note, "dim"))
    console.print(Text(f"gate: {result.verdict}", "bold"))
    if ended.folder is not None:
        _say(f"results: {relative(ended.folder.path)}")
    _say(f"report: {relative(ended.page)}")
