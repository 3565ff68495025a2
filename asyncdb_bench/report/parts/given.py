"""What each variant was given and used: fairness and cost in one line, and behind it in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncdb_bench.analysis import resources as accounts
from asyncdb_bench.analysis.resources import PerCore, Where, per_core
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.run import Deployment
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
            *_deployment(found),
        ),
        opened=bool(unequal) or kept < counted or bool(unwatched(found)),
        tone="bad" if kept < counted or unwatched(found) else "",
    )
    return Section(id="fairness-section", title="", blocks=(fold,), nav="Fairness and cost")


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


def _deployment(found: Findings) -> list[Block]:
    """Return what each variant takes to deploy and what fails, where that was measured."""
    if not found.deployments:
        return []
    load = accounts.under_load(found.records)
    parts = Table(
        id="deployment",
        title="Moving parts, measured",
        columns=(
            Column(title="variant", left=True),
            Column(title="processes; servers beside them", left=True),
            Column(title="lines of configuration"),
            Column(title="packages; installed", unit="MB"),
            Column(title="cold start", unit="s"),
            Column(title="memory at rest, under load", unit="MB"),
            Column(title="connections", left=True),
        ),
        rows=tuple(_parts_row(each, load) for each in found.deployments),
    )
    killed = Table(
        id="killed",
        title="What fails when a part is killed",
        columns=(
            Column(title="variant", left=True),
            Column(title="killed", left=True),
            Column(title="failed of asked"),
            Column(title="how", left=True),
            Column(title="answers again after", unit="s"),
            Column(title="longest health check", unit="ms"),
        ),
        rows=tuple(row for each in found.deployments for row in _killed_rows(each)),
        note="Killed by SIGKILL under 20 requests a second, each on a connection of its own, and"
        " started again at once, as a supervisor would. Cold start: from starting the processes to"
        " the first right answer; servers run already. The health check does no database work.",
    )
    return [parts, killed]


def _parts_row(each: Deployment, load: Mapping[str, float]) -> Row:
    processes = ", ".join(f"{count} {role}" for role, count in each.processes.items())
    by_role = ", ".join(f"{role} {number(value)}" for role, value in each.rest_mb.items())
    memory = f"{number(sum(each.rest_mb.values()))}, {number(load.get(each.variant))}"
    return Row(
        cells=(
            Cell(text=each.variant),
            Cell(text="; ".join(filter(None, (processes, ", ".join(each.servers))))),
            Cell(text=number(each.config_lines)),
            Cell(text=f"{each.packages}; {number(each.packages_mb)}"),
            Cell(text=number(each.cold_start_s)),
            Cell(text=memory, note=by_role if len(each.rest_mb) > 1 else ""),
            Cell(text=", ".join(f"{n} to {to}" for to, n in each.connections.items())),
        ),
        variant=each.variant,
    )


def _killed_rows(each: Deployment) -> list[Row]:
    rows = []
    for killed in each.killed:
        back = "not within 30 s"
        if killed.back_s is not None:
            back = number(killed.back_s) if killed.failed else "nothing failed"
        texts = (
            each.variant,
            killed.part,
            f"{killed.failed} of {killed.asked}",
            ", ".join(f"{count} x {how}" for how, count in killed.how.items()),
            back,
            number(killed.health_ms),
        )
        rows.append(row_of(*texts, variant=each.variant))
    return rows


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
