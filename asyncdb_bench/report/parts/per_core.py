"""What each variant does per core and per host: a way that takes more of them costs them."""

from __future__ import annotations

from asyncdb_bench.analysis.placement import PerCore, Where, per_core
from asyncdb_bench.report.document import Cell, Column, Data, Row, Table
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.text import number


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
                rows.append(_row(comparison.scenario, label, done))
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


def _row(scenario: str, label: str, done: PerCore) -> Row:
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
