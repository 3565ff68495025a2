"""What each variant was given and used: fairness and cost in one line, and on demand in tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from asyncdb_bench.analysis import resources
from asyncdb_bench.analysis.resources import PerCore, Where
from asyncdb_bench.extensions import added, loaded
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.plan import Target
from asyncdb_bench.report.document import (
    Block,
    Cell,
    Data,
    Fold,
    Row,
    Section,
    Text,
    folded,
    row_of,
    table_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.quantities import NONE, share
from asyncdb_bench.text import counted, number


def fairness_section(found: Findings) -> Section:
    """Return fairness and cost; open where budgets differ or were not kept."""
    rows = resources.fairness(found.manifest, found.steps, found.records, found.ends)
    budget = found.manifest.plan.settings.budget
    unequal = [row["variant"].label for row in rows if row["variant"].budget != budget]
    kept, of = _kept(found)
    why = unwatched(found)
    line = f"budgets equal and counted: {kept} of {of}"
    if not of and why:
        line = f"budgets declared and not counted, since the database could not be watched: {why}"
    elif unequal:
        line = f"budgets declared otherwise: {', '.join(unequal)}; counted: {kept} of {of}"
    intro = Text(
        f"Usual budget: {budget} connections. The database counted connections, rows and"
        " transactions: what differs from the ledger by more than"
        f" {share(found.manifest.plan.settings.tolerance.audit)} is invalid.",
        tone="soft",
    )
    given = table_of(
        "fairness-table",
        "variant | connections: declared, open, busy #budget | transactions counted | rows counted"
        " | application processes | <beside them | memory at most [MB]",
        map(_given_row, rows),
        note="Small: what the ledger expects.",
    )
    labels = ((row["variant"].label, row["knobs"]) for row in rows)
    knobs = table_of(
        "knobs-table",
        "variant | <knobs",
        (row_of(label, text, variant=label) for label, text in labels),
    )
    extended = [block for path in added("SECTIONS").values() for block in loaded(path)(found)]
    fold = Fold(
        id="fairness",
        title="Fairness and cost",
        line=line,
        blocks=(intro, given, *_per_core_table(found), Data("knobs", knobs), *extended),
        opened=bool(unequal) or kept < of or bool(why),
        tone="bad" if kept < of or why else "",
    )
    return folded(fold, "Fairness and cost")


def unwatched(found: Findings) -> str:
    """Return why the database was not watched; empty: it was, to the end."""
    notes = (each for end in found.ends for each in end.notes)
    return next((each.subject for each in notes if each.kind is DoubtKind.UNWATCHED), "")


def _kept(found: Findings) -> tuple[int, int]:
    """Return in how many pairs of scenario and variant the budget was kept, and of how many."""
    steps, variants = found.steps, found.variants
    if not len(steps):
        return 0, 0
    asked = {name for name, each in found.asked.items() if not each.aside} or set(found.asked)
    # what an overload opens beyond it is told with the overload
    own = steps[
        steps.scenario.isin(asked) & steps.variant.isin(list(variants)) & (steps.kind != "overload")
    ]
    peaks = own.groupby(["scenario", "variant"]).connections_peak.max().dropna()
    labels = peaks.index.get_level_values("variant")
    kept = [peak <= variants[label].budget for label, peak in zip(labels, peaks, strict=True)]
    return sum(map(bool, kept)), len(kept)


def _given_row(row: Mapping[str, Any]) -> Row:
    variant, seen = row["variant"], row["counted"]
    beside = [row["parts"]] if row["parts"] else []
    if variant.brokers:
        beside.append(f"a broker ({' or '.join(variant.brokers)})")
    if variant.needs_store and not variant.one_redis:
        beside.append("a Redis for results")
    return row_of(
        variant.label,
        f"{variant.budget}, {number(row['peak'])}, {number(row['active'])}",
        *(
            NONE if seen[what] is None else Cell(f"{seen[what]:,}", seen[f"{what}_expected"])
            for what in ("transactions", "rows")
        ),
        str(variant.processes),
        ", ".join(beside) or "nothing",
        row["memory_mb"],
        variant=variant.label,
    )


def _per_core_table(found: Findings) -> Iterator[Data]:
    """Yield the table; nothing where no pace was measured."""
    rows = []
    for comparison, _ in found.shown:
        for label, variant in found.variants.items():
            own = [
                step
                for step in found.records
                if step.valid and (step.scenario, step.variant) == (comparison.scenario, label)
            ]
            done = resources.per_core(variant, own, found.manifest)
            if done is not None:
                rows.append(_per_core_row(comparison.scenario, label, done))
    if rows:
        table = table_of(
            "per-core",
            "scenario | <variant | <cores: application, workers | requests/s | per core | per host"
            " | requests per CPU second | of the application alone",
            rows,
            note="Pace, or highest load carried, over cores and hosts given, and over CPU time"
            " used; without PostgreSQL and the broker.",
        )
        yield Data("what each does per core and host", table)


def _per_core_row(scenario: str, label: str, done: PerCore) -> Row:
    place = done.placement
    if place.where is Where.NONE:
        cores = f"{place.app or 'any'}, no workers"
    elif place.where is Where.SHARED:
        cores = f"{place.app}, shared"
    else:
        cores = f"{place.app or 'any'}, {place.workers or 'any'}"
        cores += " elsewhere" if place.where is Where.HOST else " more"
    figures = (
        done.pace_rps, done.per_core, done.per_host, done.per_cpu_s, done.per_app_cpu_s,
    )  # fmt: skip
    return row_of(scenario, label, cores, *figures, variant=label)


def applications_section(found: Findings) -> Section:
    """Return what stands in the place of fairness: the applications are their owners' affair."""
    targets = {v.label: v.target for v in found.manifest.plan.variants if v.target}
    attached = {step.variant for step in found.offered if step.loop_lag.n}
    intro: Block = Text(
        "Their databases, pools and budgets are their own affair, and were not counted. Loop lag is"
        " known where asyncdb_bench.attach is called, and phases are; CPU and memory where their"
        " processes are.",
        tone="soft",
    )
    table = table_of(
        "fairness-table",
        "variant | <where | <started by | <revision | <attached | memory at most [MB]",
        (
            row_of(
                label,
                target.url,
                " ".join(target.command) or "nobody: it ran already",
                _revision(target),
                "yes" if label in attached else "no",
                max(
                    (
                        used
                        for step in found.offered
                        if step.variant == label
                        and "app" in step.usage
                        and (used := step.usage["app"].rss_mb)
                    ),
                    default=None,
                ),
                variant=label,
            )
            for label, target in targets.items()
        ),
    )
    line = (
        f"{counted(len(targets), 'application')} of your own;"
        f" {len(attached)} with asyncdb_bench.attach"
    )
    fold = Fold(id="fairness", title="The applications", line=line, blocks=(intro, table))
    return folded(fold, "The applications")


def _revision(target: Target) -> str:
    """Say what git says of where a target was started; a dash where it says nothing."""
    revision = str(target.git.get("revision", ""))[:12]
    dirty = " with changes" if target.git.get("dirty") else ""
    return f"{revision}{dirty}" if revision else "–"
