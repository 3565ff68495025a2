"""What each variant was given and used: fairness and cost in one line, and behind it in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncdb_bench.analysis import resources as accounts
from asyncdb_bench.analysis.resources import PerCore, Where, per_core
from asyncdb_bench.extensions import added, loaded
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.report.document import (
    Block,
    Cell,
    Column,
    Data,
    Fold,
    Row,
    Section,
    Table,
    Text,
    row_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.quantities import share
from asyncdb_bench.text import number


def given_section(found: Findings) -> Section:
    """Return fairness and cost; open where budgets differ or were not kept."""
    rows = accounts.fairness(found.manifest, found.steps, found.records, found.ends)
    budget = found.manifest.plan.settings.budget
    unequal = [row["variant"].label for row in rows if row["variant"].budget != budget]
    kept, counted = _kept(found)
    line = f"budgets equal and counted: {kept} of {counted}"
    if not counted and (why := unwatched(found)):
        line = f"budgets declared and not counted, since the database could not be watched: {why}"
    elif unequal:
        line = f"budgets declared otherwise: {', '.join(unequal)}; counted: {kept} of {counted}"
    intro = Text(
        text=f"Each may use {budget} connections unless it declares otherwise. The database counted"
        " connections while turns ran, rows (pg_stat_statements) after each, and transactions"
        " (pg_stat_database) after a launch: what differs from the ledger by more than"
        f" {share(found.manifest.plan.settings.tolerance.audit)} is invalid.",
        tone="soft",
    )
    fold = Fold(
        id="fairness",
        title="Fairness and cost",
        line=line,
        blocks=(
            intro,
            _table(rows),
            *per_core_table(found),
            Data(title="knobs", table=_knobs(rows)),
            *_of_extensions(found),
        ),
        opened=bool(unequal) or kept < counted or bool(unwatched(found)),
        tone="bad" if kept < counted or unwatched(found) else "",
    )
    return Section(id="fairness-section", title="", blocks=(fold,), nav="Fairness and cost")


def _of_extensions(found: Findings) -> list[Block]:
    return [block for path in added("SECTIONS").values() for block in loaded(path)(found)]


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
    own = steps[steps.scenario.isin(asked)]
    peaks = own.groupby(["scenario", "variant"]).connections_peak.max().dropna()
    labels = peaks.index.get_level_values("variant")
    kept = [
        peak <= variants[label].budget
        for label, peak in zip(labels, peaks, strict=True)
        if label in variants
    ]
    return sum(map(bool, kept)), len(kept)


def _table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        id="fairness-table",
        columns=(
            Column(title="variant", left=True),
            Column(title="connections: declared, open, busy", term="budget"),
            Column(title="transactions counted"),
            Column(title="rows counted"),
            Column(title="application processes"),
            Column(title="beside them", left=True),
            Column(title="memory at most", unit="MB"),
        ),
        rows=tuple(_row(row) for row in rows),
        note="Small: what the ledger expects.",
    )


def _knobs(rows: list[dict[str, Any]]) -> Table:
    return Table(
        id="knobs-table",
        columns=(Column(title="variant", left=True), Column(title="knobs", left=True)),
        rows=tuple(
            row_of(row["variant"].label, row["knobs"], variant=row["variant"].label) for row in rows
        ),
    )


def _row(row: dict[str, Any]) -> Row:
    variant, seen = row["variant"], row["counted"]
    beside = [row["parts"]] if row["parts"] else []
    if variant.brokers:
        beside.append(f"a broker ({' or '.join(variant.brokers)})")
    if variant.needs_store:
        beside.append("a Redis for results")
    used = f"{variant.budget}, {number(row['peak'])}, {number(row['active'])}"
    return Row(
        cells=(
            Cell(text=variant.label),
            Cell(text=used),
            _counted(seen, "transactions"),
            _counted(seen, "rows"),
            Cell(text=str(variant.processes)),
            Cell(text=", ".join(beside) or "nothing"),
            Cell(text=number(row["memory_mb"])),
        ),
        variant=variant.label,
    )


def _counted(seen: Mapping[str, Any], what: str) -> Cell:
    if seen[what] is None:
        return Cell(text="–")
    return Cell(text=f"{seen[what]:,}", note=seen[f"{what}_expected"])


def per_core_table(found: Findings) -> tuple[Data, ...]:
    """Return the table; nothing where no pace was measured."""
    rows = []
    for comparison, _ in found.shown:
        for label, variant in found.variants.items():
            own = [
                step
                for step in found.records
                if step.valid and (step.scenario, step.variant) == (comparison.scenario, label)
            ]
            done = per_core(variant, own, found.manifest)
            if done is not None:
                rows.append(_per_core_row(comparison.scenario, label, done))
    if not rows:
        return ()
    table = Table(
        id="per-core",
        columns=(
            Column(title="scenario", left=True),
            Column(title="variant", left=True),
            Column(title="cores: application, workers", left=True),
            Column(title="requests/s"),
            Column(title="per core"),
            Column(title="per host"),
            Column(title="requests per CPU second"),
            Column(title="of the application alone"),
        ),
        rows=tuple(rows),
        note="Requests a second at the pace, or at the highest load carried, over the cores and"
        " hosts that were given, and over the CPU time that was used; without PostgreSQL and the"
        " broker.",
    )
    return (Data(title="what each does per core and host", table=table),)


def _per_core_row(scenario: str, label: str, done: PerCore) -> Row:
    place = done.placement
    if place.where is Where.NONE:
        cores = f"{place.app or 'any'}, no workers"
    elif place.where is Where.SHARED:
        cores = f"{place.app}, shared"
    else:
        cores = f"{place.app or 'any'}, {place.workers or 'any'}"
        cores += " elsewhere" if place.where is Where.HOST else " more"
    return Row(
        cells=(
            Cell(text=scenario),
            Cell(text=label),
            Cell(text=cores),
            Cell(text=number(done.pace_rps)),
            Cell(text=number(done.per_core)),
            Cell(text=number(done.per_host)),
            Cell(text=number(done.per_cpu_s)),
            Cell(text=number(done.per_app_cpu_s)),
        ),
        variant=label,
    )
