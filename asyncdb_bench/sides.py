"""Two things to compare, runs or variants within a run, and what else differs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from asyncdb_bench.effects import COMPARED, Cell, Figure, adjusted, compare_variants
from asyncdb_bench.model import Asked, Manifest, Variant

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
class Duel:
    """What came of a comparison.

    Parameters
    ----------
    base, head : titles; head is judged against base.
    paired : whether both were measured in the same blocks.
    warnings : what else differs, the loudest first.
    loud : how many of the warnings make the comparison doubtful as a whole.
    cells : by scenario; p-values adjusted over each table.
    left_out : what could not be compared, with the reason.
    """

    base: str
    head: str
    paired: bool
    warnings: tuple[str, ...]
    loud: int
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def compare_sides(base: Side, head: Side, figures: Sequence[Figure] = COMPARED) -> Duel:
    """Compare two sides, scenario by scenario and variant by variant.

    Parameters
    ----------
    base, head : to compare.
    figures : what of.

    Returns
    -------
    Duel : with no cells where they have nothing in common.
    """
    paired = base.manifest.run_id == head.manifest.run_id
    loud, quiet = ([], []) if paired else differences(base.manifest, head.manifest)
    cells: dict[str, list[Cell]] = {}
    left_out: list[str] = []
    theirs = {each.label: each for each in head.manifest.plan.scenarios}
    for asked in base.manifest.plan.scenarios:
        other = theirs.pop(asked.label, None)
        if other is None:
            left_out.append(f"{asked.label}: only in {base.title}")
            continue
        if why := unlike(asked, other):
            left_out.append(f"{asked.label}: {why}")
            continue
        table, missing = _table(base, head, asked, paired, figures)
        left_out += missing
        if table:
            cells[asked.label] = adjusted(table)
    left_out += [f"{label}: only in {head.title}" for label in theirs]
    if not paired:
        quiet.insert(
            0,
            "two runs, not one: their blocks were not interleaved, so what changed on the machine"
            " between them is in the ratios and not in the intervals",
        )
    return Duel(
        base=base.title,
        head=head.title,
        paired=paired,
        warnings=(*loud, *quiet),
        loud=len(loud),
        cells=cells,
        left_out=tuple(left_out),
    )


def _table(
    base: Side, head: Side, asked: Asked, paired: bool, figures: Sequence[Figure]
) -> tuple[list[Cell], list[str]]:
    table: list[Cell] = []
    missing: list[str] = []
    for one, other in _pairs(base, head):
        sides = [
            side.steps[(side.steps.scenario == asked.label) & (side.steps.variant == label)]
            for side, label in ((base, one), (head, other))
        ]
        empty = [label for rows, label in zip(sides, (one, other), strict=True) if rows.empty]
        if empty:
            missing.append(f"{asked.label}: no step of {' and '.join(dict.fromkeys(empty))}")
            continue
        table += compare_variants(
            sides[0],
            sides[1],
            objective_ms=asked.objective.p99_ms,
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


def unlike(one: Asked, other: Asked) -> str:
    """Return why two scenarios of one label are not the same work; empty where they are."""
    for name in ("scenario", "knobs", "mix", "objective", "shape", "websocket"):
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
    loud = [
        f"DIFFERENT MACHINES: {name} {base.machine.get(name)} against {head.machine.get(name)}"
        for name in MACHINE
        if base.machine.get(name) != head.machine.get(name)
    ]
    one, other = base.plan.settings, head.plan.settings
    if one.budget != other.budget:
        loud.append(f"different budgets: {one.budget} against {other.budget} database connections")
    loud += _of_variants(base.plan.variants, head.plan.variants)
    quiet = []
    if base.seed != head.seed:
        quiet.append(f"different seeds: {base.seed} against {head.seed}, so other arrivals")
    quiet += [
        f"different settings: {name} {getattr(one, name):g} against {getattr(other, name):g}"
        for name in ("warmup_s", "window_s", "window_max_s", "timeout_s", "blocks")
        if getattr(one, name) != getattr(other, name)
    ]
    quiet += [
        f"different versions: {name} {version} against {head.versions.get(name, 'none')}"
        for name, version in base.versions.items()
        if head.versions.get(name, "none") != version
    ]
    services = {each.name: (each.kind, each.version) for each in head.services}
    quiet += [
        f"different services: {each.kind} {each.version} against"
        f" {' '.join(services.get(each.name, ('none', '')))}"
        for each in base.services
        if services.get(each.name) != (each.kind, each.version)
    ]
    if base.pinning.cores != head.pinning.cores:
        quiet.append(f"different cores: {base.pinning.cores} against {head.pinning.cores}")
    return loud, quiet


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
