"""What was measured of a deployment: its records, and the part of the report made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asyncdb_bench.analysis.resources import under_load
from asyncdb_bench.report.document import Block, Cell, Row, row_of, table_of
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.text import number

FILE = "deployment.jsonl"


@dataclass(frozen=True, slots=True)
class Killed:
    """What failed when a part was killed under a light load (20 requests a second).

    Parameters
    ----------
    part : was started again at once, as a supervisor would.
    asked, failed : requests from then until the application answered again.
    how : the failures by HTTP status.
    back_s : from the kill to the first right answer after the last failure, seconds; 0: nothing
        failed; None: it did not answer again in 30 s.
    health_ms : the longest that a request without database work took meanwhile: whether the loop
        went on; None where the application itself was killed.
    """

    part: str
    asked: int
    failed: int
    how: Mapping[str, int]
    back_s: float | None
    health_ms: float | None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a variant takes to deploy, measured; a line of ``deployment.jsonl``.

    Parameters
    ----------
    processes : to run, by role.
    servers : that must run beside them.
    config_lines : lines of this project's docker-compose.yml that its parts need.
    packages, packages_mb : that it installs, with all that they require.
    cold_start_s : from starting its processes to the first right answer; servers run already.
    rest_mb : memory at rest by role, shared pages counted once.
    connections : TCP connections held at rest, by what they lead to.
    killed : each part in turn.
    """

    variant: str
    processes: Mapping[str, int]
    servers: tuple[str, ...]
    config_lines: int | None
    packages: int
    packages_mb: float | None
    cold_start_s: float
    rest_mb: Mapping[str, float]
    connections: Mapping[str, int]
    killed: tuple[Killed, ...]


def deployment_tables(found: Findings) -> list[Block]:
    """Return what each variant takes to deploy and what fails, where that was measured."""
    deployments: Sequence[Deployment] = found.recorded.get(FILE, ())
    if not deployments:
        return []
    load = under_load(found.records)
    head = (
        "variant | <processes; servers beside them | lines of configuration"
        " | packages; installed [MB] | cold start [s] | memory at rest, under load [MB]"
        " | <connections"
    )
    rows = (_parts_row(each, load) for each in deployments)
    parts = table_of("deployment", head, rows, title="Moving parts, measured")
    killed = table_of(
        "killed",
        "variant | <killed | failed of asked | <how | answers again after [s]"
        " | longest health check [ms]",
        (row for each in deployments for row in _killed_rows(each)),
        title="What fails when a part is killed",
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
