"""The details of a scenario, on demand: times, tails, spread, limits, use, need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncdb_bench.analysis import resources
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.inference import METRICS
from asyncdb_bench.analysis.limits import Need
from asyncdb_bench.records.step import Percentiles
from asyncdb_bench.report import quantities
from asyncdb_bench.report.document import (
    Block,
    Cell,
    Column,
    Data,
    Fold,
    Row,
    Table,
    row_of,
    table_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.decision import figure_of
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


def detail_folds(found: Findings, own: str, comparison: Comparison) -> list[Block]:
    """Return the folds below a scenario's figure and table.

    Parameters
    ----------
    found : the run.
    own : id of the scenario's section.
    comparison : of the scenario.
    """
    folds: list[Block] = []
    for name, title, line, caption in (
        ("where", "Where the time went, spread and limits", "by phase, launch by launch", TIMES),
        ("percentiles", "Percentiles", "corrected and raw", TAILS),
        ("course", "Over time", "lag, queue, age of the oldest", COURSE),
    ):
        figure = figure_of(found, comparison.scenario, name, f"{own}-{name}", caption)
        blocks: list[Block] = [figure] if figure is not None else []
        if name == "course":
            blocks += _waiting_tables(found, own, comparison)
        if blocks:
            folds.append(
                Fold(id=f"{own}-{name}-fold", title=title, line=line, blocks=tuple(blocks))
            )
    if comparison.capacities:
        tables: tuple[Block, ...] = (
            _limits_table(own, comparison),
            Data("all figures", _figures_table(found, own, comparison)),
            Data("what each used", _used_table(found, own, comparison)),
            *_ratios_data(found, own, comparison),
        )
        title = "Limits, how many of each, all figures"
        folds.append(Fold(id=f"{own}-all", title=title, line="", blocks=tables))
    return folds


def _ratios_data(found: Findings, own: str, comparison: Comparison) -> list[Data]:
    """Return every variant beside the best by every metric, with how far it can be relied on."""
    findings = comparison.findings
    if not findings.beside:
        return []
    verdict = next(each for each in found.verdicts if each.scenario == comparison.scenario)
    rows = [
        row_of(
            name,
            *(quantities.ratio_cell(findings.said(metric.name, name)) for metric in METRICS),
            variant=name,
        )
        for name in comparison.capacities
        if name != findings.leader
    ]
    head = (
        Column(f"over {findings.leader}", left=True),
        *(Column(metric.title) for metric in METRICS),
    )
    table = table_of(f"{own}-axes", head, rows, note=f"{verdict.sureness}.")
    return [Data("ratios by every metric, and how sure", table)]


def _figures_table(found: Findings, own: str, comparison: Comparison) -> Table:
    """Return the figures that are not in the scenario's first table."""
    load = comparison.common_rps
    memory = resources.under_load([s for s in found.records if s.scenario == comparison.scenario])
    return table_of(
        f"{own}-figures",
        "variant | capacity [requests/s] #capacity | p50 [ms] | p95 [ms] | errors | lag p50 [ms]"
        " | probe p50, p99 [ms] #lag | p99 from the send, closed loop [ms] #omission"
        " | CPU gross, at rest [ms, % of a core] #cpu | memory [MB]"
        " | <its ceiling, and why it is apart #ceiling",
        (_figures_row(comparison, name, memory.get(name)) for name in comparison.capacities),
        note=f"At {number(load)}/s; small: 95 % bounds." if load else "",
    )


def _figures_row(comparison: Comparison, name: str, memory_mb: float | None) -> Row:
    p50, p95, errors, lag, probe, probe_99, service, closed = (
        quantities.of_row(comparison, name, figure)
        for figure in (
            "p50_ms", "p95_ms", "error_rate", "loop_lag_p50_ms", "probe_p50_ms", "probe_p99_ms",
            "service_p99_ms", "closed_loop_p99_ms",
        )
    )  # fmt: skip
    rest = comparison.findings.rest.get(name)
    gross = number(comparison.findings.gross_ms.get(name))
    limit = comparison.limits.get(name)
    why = quantities.NONE
    if limit is not None and limit.ceiling is not None:
        why = Cell(f"{limit.ceiling.resource}: {limit.ceiling.law}", limit.explanation)
    return row_of(
        name,
        quantities.capacity(comparison, name),
        p50,
        p95,
        errors,
        lag,
        f"{probe.text}, {probe_99.text}",
        f"{service.text}, {closed.text}",
        f"{gross}, {number(100 * rest.busy) if rest else '–'}",
        memory_mb,
        why,
        variant=name,
    )


def _used_table(found: Findings, own: str, comparison: Comparison) -> Table:
    """Return what each variant used at the common load, by role."""
    used = resources.used_by_role(found.records, comparison)
    return table_of(
        f"{own}-used",
        "variant | <CPU a request [ms] | <context switches a request | <resident memory [MB]"
        " | <bytes a request",
        (
            row_of(name, *(_by_role(values) or "–" for values in figures.values()), variant=name)
            for name, figures in used.items()
        ),
        note="Bytes on loopback are those of all processes of the machine.",
    )


def _limits_table(own: str, comparison: Comparison) -> Table:
    """Return what held each variant back, its ceiling, and how much of each resource it needs."""
    rows = []
    for name in comparison.capacities:
        limit = comparison.limits.get(name)
        held = ceiling = quantities.NONE
        if limit is not None and limit.diagnosis.bottleneck:
            held = Cell(limit.diagnosis.bottleneck, limit.diagnosis.evidence)
        if limit is not None and limit.ceiling is not None:
            ceiling = Cell(f"{number(limit.ceiling.rps)}/s", limit.ceiling.resource)
        needs = [each for each in comparison.needs if each.variant == name]
        rows.append(row_of(name, held, ceiling, _needed(needs), variant=name))
    loads = ", ".join(f"{each:,}" for each in NEEDED_AT)
    head = f"variant | <held back by | <ceiling by theory #ceiling | <for {loads}/s #needs"
    return table_of(f"{own}-limits", head, rows)


def _by_role(values: Mapping[str, float | None]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {number(value)}" for name, value in values.items() if value
    )


def _needed(needs: Sequence[Need]) -> str:
    """Say how many of each resource some loads want."""
    said: dict[str, list[str]] = {}
    for need in needs:
        wanted = [
            "more processes" if rps * need.cpu_ms > 900 * need.cores else str(need.needed(rps))
            for rps in NEEDED_AT
        ]
        name = "processes" if need.resource == "handler" else need.resource
        said.setdefault(f"{', '.join(wanted)} (has {need.has})", []).append(name)
    return "; ".join(f"{listed(names)} {counts}" for counts, names in said.items()) or "–"


def _waiting_tables(found: Findings, own: str, comparison: Comparison) -> list[Block]:
    """Return what waited in queues, and what members of a chat felt, where there were any."""
    blocks: list[Block] = []
    if found.asked[comparison.scenario].shape:
        waited = resources.most_waiting(found.records, comparison)
        blocks.append(
            table_of(
                f"{own}-waited",
                "what waited | most at once | age of the oldest then [ms] | longest wait [ms]"
                " | worked off after [s]",
                (
                    row_of(
                        name,
                        log.peak,
                        log.peak_age_ms,
                        log.oldest_ms,
                        "not within the step" if log.drain_s is None else log.drain_s,
                        variant=name,
                    )
                    for name, (log, _) in waited.items()
                ),
            )
        )
        tasks = [
            row_of(
                name,
                f"{number(tasks.depth_mean)}, {number(tasks.depth_peak)}",
                _pair(tasks.in_broker),
                _pair(tasks.in_worker),
                tasks.oldest_ms,
                variant=name,
            )
            for name, (_, tasks) in waited.items()
            if tasks
        ]
        if tasks:
            head = (
                "the task queue | depth: mean, peak | in the broker: p50, p99 [ms]"
                " | in the worker: p50, p99 [ms] | oldest [ms]"
            )
            blocks.append(table_of(f"{own}-tasks", head, tasks))
    return [*blocks, *_chat_table(found, own, comparison)]


def _pair(found: Percentiles) -> str:
    return f"{number(found.p50_ms)}, {number(found.p99_ms)}"


def _chat_table(found: Findings, own: str, comparison: Comparison) -> list[Table]:
    rows = [
        row_of(
            name,
            _pair(chat.delivery),
            f"{'–' if chat.lost is None else chat.lost}, {chat.duplicated}, {chat.out_of_order}",
            _pair(chat.ping),
            chat.frozen_s,
            f"{number(chat.joins_per_s)}; {number(chat.join.p99_ms)}",
            f"{chat.connected} of {chat.members}",
            variant=name,
        )
        for name, chat in resources.worst_chats(found.records, comparison).items()
    ]
    if not rows:
        return []
    head = (
        "what members felt | delivery: p50, p99 [ms] | lost, twice, out of order"
        " | ping: p50, p99 [ms] | frozen [s] | joins a second; p99 [ms] | members there"
    )
    note = (
        "Delivery: from the intended post to each member's receipt. Frozen: nobody received"
        " anything although messages were due. Of several windows the worst."
    )
    return [table_of(f"{own}-chat", head, rows, note=note)]
