"""Sides to compare, runs or variants of a run, and what else differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from asyncdb_bench.errors import StoreError, UsageError
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import RunFolder, open_run
from asyncdb_bench.regression.effects import (
    Figure,
    FigureEffect,
    adjusted,
    compare_variants,
    took_turns,
)
from asyncdb_bench.regression.rows import comparison_rows

MACHINE = ("cpu", "cores", "usable_cores", "memory_mb", "kernel")


@dataclass(frozen=True, slots=True)
class Side:
    """A run, or one variant of it.

    Parameters
    ----------
    manifest, steps : of the run; `steps` are rows of :func:`steps_table`.
    variant : its label; empty: all of the run's.
    """

    manifest: Manifest
    steps: pd.DataFrame
    variant: str = ""

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.manifest.run_id}/{self.variant}" if self.variant else self.manifest.run_id


@dataclass(frozen=True, slots=True)
class Contrast:
    """What came of comparing two sides.

    Parameters
    ----------
    base, head : titles; head is judged against base.
    paired : whether both were measured in the same blocks.
    invalidating : what makes the comparison doubtful as a whole.
    warnings : what else differs.
    effects : by scenario; p-values adjusted over each table.
    left_out : what could not be compared, with the reason.
    """

    base: str
    head: str
    paired: bool
    invalidating: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    effects: dict[str, list[FigureEffect]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def compare_sides(base: Side, head: Side, figures: Sequence[Figure] | None = None) -> Contrast:
    """Compare two sides, scenario by scenario and variant by variant.

    Parameters
    ----------
    base, head : to compare.
    figures : what of; None: all that was measured.

    Returns
    -------
    Contrast : without effects where they have nothing in common.
    """
    paired = base.manifest.run_id == head.manifest.run_id
    invalidating, warnings = ([], []) if paired else differences(base.manifest, head.manifest)
    effects: dict[str, list[FigureEffect]] = {}
    left_out: list[str] = []
    theirs = {each.label: each for each in head.manifest.plan.scenarios}
    for scenario in base.manifest.plan.scenarios:
        other = theirs.pop(scenario.label, None)
        if other is None:
            left_out.append(f"{scenario.label}: only in {base.title}")
            continue
        if why := unlike(scenario, other):
            left_out.append(f"{scenario.label}: {why}")
            continue
        table, missing = _table(base, head, scenario, paired, figures)
        left_out += missing
        if table:
            effects[scenario.label] = adjusted(table)
    left_out += [f"{label}: only in {head.title}" for label in theirs]
    if not paired:
        warnings.insert(
            0,
            "two runs, not one: their blocks were not interleaved, so what changed on the machine"
            " between them is in the ratios and not in the intervals",
        )
    return Contrast(
        base=base.title,
        head=head.title,
        paired=paired,
        invalidating=tuple(invalidating),
        warnings=tuple(warnings),
        effects=effects,
        left_out=tuple(left_out),
    )


def _table(
    base: Side,
    head: Side,
    scenario: PlannedScenario,
    paired: bool,
    figures: Sequence[Figure] | None,
) -> tuple[list[FigureEffect], list[str]]:
    table: list[FigureEffect] = []
    missing: list[str] = []
    for one, other in _pairs(base, head):
        sides = [
            side.steps[(side.steps.scenario == scenario.label) & (side.steps.variant == label)]
            for side, label in ((base, one), (head, other))
        ]
        empty = [label for rows, label in zip(sides, (one, other), strict=True) if rows.empty]
        if empty:
            missing.append(f"{scenario.label}: no step of {' and '.join(dict.fromkeys(empty))}")
            continue
        if took_turns(sides[0]) != took_turns(sides[1]):
            climbed = (base if took_turns(sides[1]) else head).title
            missing.append(
                f"{scenario.label} · {one}: {climbed} climbed a ladder, the other took turns;"
                " measure the older one anew, or the newer one with --ladder"
            )
            continue
        table += compare_variants(
            sides[0],
            sides[1],
            objective_ms=scenario.objective.p99_ms,
            paired=paired,
            figures=figures,
        )
    return table, missing


def _pairs(base: Side, head: Side) -> list[tuple[str, str]]:
    """Return which variant is compared with which: those named, else those of the same label."""
    ours = [each.label for each in base.manifest.plan.variants]
    theirs = [each.label for each in head.manifest.plan.variants]
    if base.variant or head.variant:
        return [(base.variant or head.variant, head.variant or base.variant)]
    return [(label, label) for label in ours if label in theirs]


def unlike(one: PlannedScenario, other: PlannedScenario) -> str:
    """Return why two scenarios of one label are not the same work; empty where they are."""
    for name in ("scenario", "knobs", "mix", "objective", "shape", "websocket", "reach"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine != theirs:
            return f"not the same work: {name} {_short(mine)} against {_short(theirs)}"
    return ""


def _short(value: object) -> str:
    return str(value)[:120]


def differences(base: Manifest, head: Manifest) -> tuple[list[str], list[str]]:
    """Return what else differs between two runs.

    Returns
    -------
    First what makes the comparison doubtful as a whole (another machine, other budgets), then what
    a reader should know (seed, windows, versions, services).
    """
    invalidating = [
        f"DIFFERENT MACHINES: {name} {base.machine.get(name)} against {head.machine.get(name)}"
        for name in MACHINE
        if base.machine.get(name) != head.machine.get(name)
    ]
    one, other = base.plan.settings, head.plan.settings
    if one.budget != other.budget:
        invalidating.append(
            f"different budgets: {one.budget} against {other.budget} database connections"
        )
    invalidating += _of_variants(base.plan.variants, head.plan.variants)
    others = []
    if base.seed != head.seed:
        others.append(f"different seeds: {base.seed} against {head.seed}, so other arrivals")
    others += [
        f"different settings: {name} {getattr(one, name):g} against {getattr(other, name):g}"
        for name in ("warmup_s", "window_s", "window_max_s", "timeout_s", "blocks")
        if getattr(one, name) != getattr(other, name)
    ]
    others += [
        f"different versions: {name} {version} against {head.versions.get(name, 'none')}"
        for name, version in base.versions.items()
        if head.versions.get(name, "none") != version
    ]
    services = {each.name: (each.kind, each.version) for each in head.services}
    others += [
        f"different services: {each.kind} {each.version} against"
        f" {' '.join(services.get(each.name, ('none', '')))}"
        for each in base.services
        if services.get(each.name) != (each.kind, each.version)
    ]
    if base.pinning.cores != head.pinning.cores:
        others.append(f"different cores: {base.pinning.cores} against {head.pinning.cores}")
    return invalidating, others


def _of_variants(base: Sequence[Variant], head: Sequence[Variant]) -> list[str]:
    theirs = {each.label: each for each in head}
    return [
        f"{each.label} is not the same in both: {name} {each.knobs.get(name)} against"
        f" {theirs[each.label].knobs.get(name)}"
        for each in base
        if each.label in theirs
        for name in sorted(each.knobs.keys() | theirs[each.label].knobs.keys())
        if each.knobs.get(name) != theirs[each.label].knobs.get(name)
    ]


def find_side(name: str, run: str, results: Path) -> Side:
    """Return what a name stands for: a run, ``RUN/VARIANT``, or a variant of the default run.

    Parameters
    ----------
    name : of a run's id or folder, of both, or of a variant.
    run : where variants are looked up that name no run.
    results : the folder of results.

    Raises
    ------
    UsageError : it stands for nothing.
    StoreError : the run cannot be read.
    """
    if (folder := _run(name, results)) is not None:
        return _side(folder, "")
    for place in [i for i, letter in enumerate(name) if letter == "/"]:
        folder = _run(name[:place], results)
        if folder is not None:
            return _side(folder, name[place + 1 :])
    nothing = f"{name!r} is neither a run under {results} nor a variant of"
    try:
        folder = open_run(results, run)
        known = [each.label for each in folder.manifest().plan.variants]
    except StoreError as error:
        raise UsageError(f"{nothing} {run!r}, which cannot be read: {error}") from error
    if name not in known:
        raise UsageError(f"{nothing} {folder.run_id}; its variants: {', '.join(known)}")
    return _side(folder, name)


def _run(name: str, results: Path) -> RunFolder | None:
    for path in (results / name, Path(name)):
        if (path / "manifest.json").is_file():
            return RunFolder(path.resolve())
    return None


def _side(folder: RunFolder, variant: str) -> Side:
    manifest = folder.manifest()
    known = [each.label for each in manifest.plan.variants]
    if variant and variant not in known:
        raise UsageError(f"{folder.run_id} has no variant {variant!r}; it has {', '.join(known)}")
    return Side(manifest, measured_steps(folder), variant)


def measured_steps(folder: RunFolder) -> pd.DataFrame:
    """Return a run's table of steps: those that count, of trials that measured."""
    records = [step for step in folder.steps() if not step.repeated and step.purpose == "measure"]
    return comparison_rows(records, folder.trials())


def contrasts(base: str, heads: Sequence[str], run: str, results: Path) -> tuple[Contrast, ...]:
    """Compare one side with others.

    Parameters
    ----------
    base, heads : names, see :func:`find_side`.
    run, results : as :func:`find_side`.

    Raises
    ------
    UsageError : no such run or variant, nothing in common, or a side against itself.
    StoreError : a run cannot be read.
    """
    one = find_side(base, run, results)
    found = []
    for name in heads:
        other = find_side(name, run, results)
        if one.title == other.title:
            raise UsageError(f"{one.title} is compared with itself; name two runs or variants")
        contrast = compare_sides(one, other)
        if not contrast.effects:
            why = "; ".join(contrast.left_out) or "no scenario and variant is in both"
            raise UsageError(f"{contrast.base} and {contrast.head} have nothing to compare: {why}")
        found.append(contrast)
    return tuple(found)
