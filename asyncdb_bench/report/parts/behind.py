"""What lies behind a scenario's first layer: times, tails, spread, limits, use, need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncdb_bench.analysis import resources as accounts
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.inference import METRICS
from asyncdb_bench.analysis.limits import Limit, Need
from asyncdb_bench.report import quantities
from asyncdb_bench.report.document import Block, Cell, Column, Data, Fold, Row, Table, row_of
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.decision import figure_of
from asyncdb_bench.report.quantities import ratio_text, said_text
from asyncdb_bench.text import listed, number

NEEDED_AT = (100, 300, 1000)
TIMES = "Share of the mean latency by phase; capacity and p99 of each launch, grey their interval."
TAILS = (
    "Solid: from the intended arrival. Dotted: what a closed loop would have believed, whose users"
    " wait for an answer before they ask again."
)
COURSE = (
    "One window at the common load: the greatest of each stretch of time. Waiting: due and not yet"
    " answered."
)


def behind(found: Findings, own: str, comparison: Comparison) -> list[Block]:
    """Return the folds behind a scenario's figure and table.

    Parameters
    ----------
    found : the run.
    own : id of the scenario's section.
    comparison : of the scenario.
    """
    scenario = comparison.scenario
    folds: list[Block] = []
    for name, title, line, caption in (
        ("where", "Where the time went, spread and limits", "by phase, launch by launch", TIMES),
        ("percentiles", "Percentiles", "corrected and raw", TAILS),
        ("course", "Over time", "lag, queue, age of the oldest", COURSE),
    ):
        figure = figure_of(found, scenario, name, f"{own}-{name}", caption)
        blocks: list[Block] = [figure] if figure is not None else []
        if name == "course":
            blocks += waiting(found, own, comparison)
        if blocks:
            folds.append(
                Fold(id=f"{own}-{name}-fold", title=title, line=line, blocks=tuple(blocks))
            )
    if comparison.capacities:
        folds.append(
            Fold(
                id=f"{own}-all",
                title="Limits, how many of each, all figures",
                line="",
                blocks=(
                    limits_table(own, comparison),
                    Data(title="all figures", table=all_figures(found, own, comparison)),
                    Data(title="what each used", table=used_table(found, own, comparison)),
                    *axes_data(found, own, comparison),
                ),
            )
        )
    return folds


def axes_data(found: Findings, own: str, comparison: Comparison) -> list[Data]:
    """Return every variant beside the best on every axis, with how far it can be relied on."""
    findings = comparison.findings
    if not findings.beside:
        return []
    verdict = next(each for each in found.verdicts if each.scenario == comparison.scenario)
    rows = []
    for name in (each for each in comparison.capacities if each != findings.leader):
        cells = [Cell(text=name)]
        for metric in METRICS:
            each = findings.said(metric.name, name)
            known = each is not None and each.ratio is not None
            cells.append(
                Cell(text=ratio_text(each), note=said_text(each))
                if each is not None and known
                else Cell(text="–")
            )
        rows.append(Row(cells=tuple(cells), variant=name))
    table = Table(
        id=f"{own}-axes",
        columns=(
            Column(title=f"over {findings.leader}", left=True),
            *(Column(title=metric.title) for metric in METRICS),
        ),
        rows=tuple(rows),
        note=f"{verdict.sureness}.",
    )
    return [Data(title="ratios by every metric, and how sure", table=table)]


def all_figures(found: Findings, own: str, comparison: Comparison) -> Table:
    """Return the figures that are not in the scenario's first table."""
    load = comparison.common_rps
    columns = (
        Column(title="variant", left=True),
        Column(title="capacity", unit="requests/s", term="capacity"),
        Column(title="p50", unit="ms"),
        Column(title="p95", unit="ms"),
        Column(title="errors"),
        Column(title="lag p50", unit="ms"),
        Column(title="probe p50, p99", unit="ms", term="lag"),
        Column(title="p99 from the send, closed loop", unit="ms", term="omission"),
        Column(title="CPU gross, at rest", unit="ms, % of a core", term="cpu"),
        Column(title="memory", unit="MB"),
        Column(title="its ceiling, and why it is apart", left=True, term="ceiling"),
    )
    memory = accounts.under_load(
        [step for step in found.records if step.scenario == comparison.scenario]
    )
    rows = [
        Row(cells=_all_cells(comparison, name, memory), variant=name)
        for name in comparison.capacities
    ]
    return Table(
        id=f"{own}-figures",
        columns=columns,
        rows=tuple(rows),
        note=f"At {number(load)}/s; small: 95 % bounds." if load else "",
    )


def _all_cells(comparison: Comparison, name: str, memory: Mapping[str, float]) -> tuple[Cell, ...]:
    def both(one: str, other: str) -> Cell:
        pair = [quantities.of_row(comparison, name, each).text for each in (one, other)]
        return Cell(text=", ".join(pair))

    rest = comparison.findings.rest.get(name)
    gross = number(comparison.findings.gross_ms.get(name))
    limit = comparison.limits.get(name)
    return (
        Cell(text=name),
        quantities.capacity(comparison, name),
        quantities.of_row(comparison, name, "p50_ms"),
        quantities.of_row(comparison, name, "p95_ms"),
        quantities.of_row(comparison, name, "error_rate"),
        quantities.of_row(comparison, name, "loop_lag_p50_ms"),
        both("probe_p50_ms", "probe_p99_ms"),
        both("service_p99_ms", "closed_loop_p99_ms"),
        Cell(text=f"{gross}, {number(100 * rest.busy) if rest else '–'}"),
        Cell(text=number(memory.get(name))),
        _ceiling(limit),
    )


def _ceiling(limit: Limit | None) -> Cell:
    if limit is None or limit.ceiling is None:
        return Cell(text="–")
    return Cell(text=f"{limit.ceiling.resource}: {limit.ceiling.law}", note=limit.explanation)


def used_table(found: Findings, own: str, comparison: Comparison) -> Table:
    """Return what each variant used at the common load, by role."""
    used = accounts.resource_rows(found.records, [comparison]).get(comparison.scenario, [])
    rows = [
        row_of(
            each["variant"],
            *(_by_role(each[figure]) or "–" for figure in ("cpu", "switches", "rss", "wire")),
            variant=each["variant"],
        )
        for each in used
    ]
    return Table(
        id=f"{own}-used",
        columns=(
            Column(title="variant", left=True),
            Column(title="CPU a request", unit="ms", left=True),
            Column(title="context switches a request", left=True),
            Column(title="resident memory", unit="MB", left=True),
            Column(title="bytes a request", left=True),
        ),
        rows=tuple(rows),
        note="Bytes on loopback are those of all processes of the machine.",
    )


def limits_table(own: str, comparison: Comparison) -> Table:
    """Return what held each variant back, its ceiling, and how much of each resource it needs."""
    rows = []
    for name in comparison.capacities:
        limit = comparison.limits.get(name)
        held, ceiling = Cell(text="–"), Cell(text="–")
        if limit is not None and limit.diagnosis.bottleneck:
            held = Cell(text=limit.diagnosis.bottleneck, note=limit.diagnosis.evidence)
        if limit is not None and limit.ceiling is not None:
            ceiling = Cell(text=f"{number(limit.ceiling.rps)}/s", note=limit.ceiling.resource)
        needs = [each for each in comparison.needs if each.variant == name]
        rows.append(Row(cells=(Cell(text=name), held, ceiling, _needed(needs)), variant=name))
    return Table(
        id=f"{own}-limits",
        columns=(
            Column(title="variant", left=True),
            Column(title="held back by", left=True),
            Column(title="ceiling by theory", left=True, term="ceiling"),
            Column(
                title=f"for {', '.join(f'{each:,}' for each in NEEDED_AT)}/s", left=True,
                term="needs",
            ),
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _by_role(values: Mapping[str, float | None]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {number(value)}" for name, value in values.items() if value
    )


def _needed(needs: Sequence[Need]) -> Cell:
    """Say how many of each resource some loads want."""
    said: dict[str, list[str]] = {}
    for need in needs:
        wanted = [
            "more processes" if rps * need.cpu_ms > 900 * need.cores else str(need.needed(rps))
            for rps in NEEDED_AT
        ]
        name = "processes" if need.resource == "handler" else need.resource
        said.setdefault(f"{', '.join(wanted)} (has {need.has})", []).append(name)
    texts = [f"{listed(names)} {counts}" for counts, names in said.items()]
    return Cell(text="; ".join(texts) or "–")


def waiting(found: Findings, own: str, comparison: Comparison) -> list[Block]:
    """Return what waited in queues, and what members of a chat felt, where there were any."""
    asked, records = found.asked[comparison.scenario], found.records
    blocks: list[Block] = []
    waited = accounts.waited(records, [comparison]).get(comparison.scenario, [])
    if asked.shape:
        blocks.append(_backlog_table(own, waited))
    if any(row["tasks"] for row in waited) and asked.shape:
        blocks.append(_task_table(own, waited))
    felt = accounts.felt(records, [comparison]).get(comparison.scenario, [])
    if felt:
        blocks.append(_chat_table(own, felt))
    return blocks


def _backlog_table(own: str, waited: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column(title="what waited", left=True),
        Column(title="most at once"),
        Column(title="age of the oldest then", unit="ms"),
        Column(title="longest wait", unit="ms"),
        Column(title="worked off after", unit="s"),
    )
    rows = []
    for row in waited:
        log = row["backlog"]
        drained = "not within the step" if log.drain_s is None else number(log.drain_s)
        texts = (number(log.peak), number(log.peak_age_ms), number(log.oldest_ms), drained)
        rows.append(row_of(row["variant"], *texts, variant=row["variant"]))
    return Table(id=f"{own}-waited", columns=columns, rows=tuple(rows))


def _task_table(own: str, waited: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column(title="the task queue", left=True),
        Column(title="depth: mean, peak"),
        Column(title="in the broker: p50, p99", unit="ms"),
        Column(title="in the worker: p50, p99", unit="ms"),
        Column(title="oldest", unit="ms"),
    )
    rows = []
    for row in waited:
        tasks = row["tasks"]
        if not tasks:
            continue
        texts = (
            f"{number(tasks.depth_mean)}, {number(tasks.depth_peak)}",
            f"{number(tasks.in_broker.p50_ms)}, {number(tasks.in_broker.p99_ms)}",
            f"{number(tasks.in_worker.p50_ms)}, {number(tasks.in_worker.p99_ms)}",
            number(tasks.oldest_ms),
        )
        rows.append(row_of(row["variant"], *texts, variant=row["variant"]))
    return Table(id=f"{own}-tasks", columns=columns, rows=tuple(rows))


def _chat_table(own: str, felt: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column(title="what members felt", left=True),
        Column(title="delivery: p50, p99", unit="ms"),
        Column(title="lost, twice, out of order"),
        Column(title="ping: p50, p99", unit="ms"),
        Column(title="frozen", unit="s"),
        Column(title="joins a second; p99", unit="ms"),
        Column(title="members there"),
    )
    rows = []
    for row in felt:
        chat = row["chat"]
        lost = "–" if chat.lost is None else f"{chat.lost}"
        texts = (
            f"{number(chat.delivery.p50_ms)}, {number(chat.delivery.p99_ms)}",
            f"{lost}, {chat.duplicated}, {chat.out_of_order}",
            f"{number(chat.ping.p50_ms)}, {number(chat.ping.p99_ms)}",
            number(chat.frozen_s),
            f"{number(chat.joins_per_s)}; {number(chat.join.p99_ms)}",
            f"{chat.connected} of {chat.members}",
        )
        rows.append(row_of(row["variant"], *texts, variant=row["variant"]))
    note = (
        "Delivery: from the intended post to each member's receipt. Frozen: nobody received"
        " anything although messages were due. Of several windows the worst."
    )
    return Table(id=f"{own}-chat", columns=columns, rows=tuple(rows), note=note)
