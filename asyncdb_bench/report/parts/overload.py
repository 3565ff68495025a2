"""A scenario's overload: goodput over time, before, in and after it, and what it left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.inference import GOODPUT
from asyncdb_bench.analysis.overload import Outcomes
from asyncdb_bench.analysis.verdict import Verdict
from asyncdb_bench.records.plan import CALM_SHARE, Overload
from asyncdb_bench.report import quantities
from asyncdb_bench.report.document import (
    Block,
    Cell,
    Column,
    Data,
    Row,
    columns_of,
    row_of,
    table_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.decision import figure_of
from asyncdb_bench.text import number

CAPTION = (
    "Right answers in time, by when their requests were due; medians over rounds. Dashed: load."
)


def how(overload: Overload) -> str:
    """Say what was asked for."""
    limit = f", {overload.timeout_ms:g} ms by the application" if overload.timeout_ms else ""
    return (
        f"{CALM_SHARE:g} x each variant's own pace for {overload.before_s:g} s, {overload.factor:g}"
        f" x for {overload.length_s:g} s, {CALM_SHARE:g} x for {overload.after_s:g} s. Clients give"
        f" up after {overload.patience_ms:g} ms{limit}."
    )


def overload_blocks(
    found: Findings, own: str, comparison: Comparison, verdict: Verdict
) -> Iterator[Block]:
    """Yield figure and tables of an overload.

    Parameters
    ----------
    found, comparison, verdict : of the run, and of the scenario.
    own : start of the ids.
    """
    figure = figure_of(found, comparison.scenario, "overload", f"{own}-overload-course", CAPTION)
    if figure is not None:
        yield figure
    findings = comparison.findings
    names = [name for name in comparison.capacities if name in findings.overloads]
    first, goodput, *others = columns_of(
        "variant | goodput [x pace] #goodput | before [of those due] | in it [of its pace]"
        " | after [of those due] | back [s]"
    )
    beside = Column(f"beside {findings.leader or 'the best'}", term="interval")
    head = (first, goodput, beside, *others)
    rows = [_row(comparison, verdict, name) for name in names]
    rows += [
        row_of(name, Cell("–", "not overloaded", "soft"), variant=name)
        for name in comparison.capacities
        if name not in names
    ]
    rows += [
        row_of(name, Cell("–", comparison.absence(name), "bad"), variant=name)
        for name in comparison.not_run
    ]
    yield table_of(
        f"{own}-overload", head, rows, note="Back: latency as before, from the overload's end on."
    )
    if names:
        head_of = (
            "variant | pace [requests/s] #pace | carried out for nobody [of all]"
            " | database for them [s] | connections opened, most | loop lag p99 [ms] #lag"
            " | kept: threads, connections | gave up, timed out, refused [of those due in it]"
        )
        left = table_of(
            f"{own}-overload-left", head_of, (_left(findings.overloads[name]) for name in names)
        )
        yield Data("what the overload left, a turn", left)


def _row(comparison: Comparison, verdict: Verdict, name: str) -> Row:
    findings = comparison.findings
    each = findings.overloads[name]
    beside = Cell("–")
    if name == findings.leader:
        beside = Cell("1", "best goodput" if findings.beside else "nothing beside it")
    elif findings.leader:
        beside = quantities.ratio_cell(findings.said(GOODPUT.name, name), "not compared")
    return row_of(
        Cell(name, tone="good" if name in verdict.best else ""),
        quantities.of_table(comparison, name, GOODPUT.name),
        beside,
        number(each.before, 2),
        number(each.during, 2),
        number(each.after, 2),
        _back(each),
        variant=name,
    )


def _back(each: Outcomes) -> Cell:
    if each.recovery_s is None:
        return Cell(f"> {each.after_s:g}", tone="bad")
    longest = f"> {each.after_s:g}" if each.longest_s is None else number(each.longest_s, 2)
    return Cell(number(each.recovery_s, 2), f"longest {longest}" if each.turns > 1 else "")


def _left(each: Outcomes) -> Row:
    share: Callable[[float | None], str] = quantities.share
    return row_of(
        each.variant,
        each.pace_rps,
        share(each.for_nobody),
        each.for_nobody_s,
        f"{number(each.sessions)}, {number(each.most_connections)}",
        each.lag_p99_ms,
        f"{number(each.threads)}, {number(each.connections)}",
        f"{share(each.left)}, {share(each.timed_out)}, {share(each.refused)}",
        variant=each.variant,
    )
