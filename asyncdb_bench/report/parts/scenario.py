"""One scenario: a fold with one figure and one table, and its details."""

from __future__ import annotations

import msgspec

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.decision import away
from asyncdb_bench.analysis.inference import CAPACITY, Said
from asyncdb_bench.analysis.verdict import Verdict
from asyncdb_bench.records.doubts import sentence
from asyncdb_bench.report import quantities
from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Fold,
    Row,
    Section,
    Table,
    Text,
    Tone,
    columns_of,
    folded,
    row_of,
    table_of,
)
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.decision import chosen, figure_of
from asyncdb_bench.report.parts.details import detail_folds
from asyncdb_bench.report.parts.maps import knob_blocks
from asyncdb_bench.report.parts.overload import how, overload_blocks
from asyncdb_bench.report.quantities import ratio_text, said_text
from asyncdb_bench.text import counted, listed, number

MAIN = (
    "p99 (solid, with 95 % bounds) and p50 (dotted) by offered load; below, loop lag (solid) and"
    " probe (dotted). Rings: knees. Bars: capacities."
)


def scenario_section(
    found: Findings, place: int, comparison: Comparison, verdict: Verdict
) -> Section:
    """Return the section of a scenario.

    Parameters
    ----------
    found : the run.
    place : of the section, from 1.
    comparison, verdict : of the scenario.
    """
    asked, scenario = found.asked[comparison.scenario], comparison.scenario
    own = f"scenario-{place}"
    figure = figure_of(found, scenario, "latency", f"{own}-latency", MAIN, role="curves")
    blocks: list[Block] = [Text(_how(found, comparison), tone="soft")]
    if not verdict.best or not verdict.sound:
        blocks.append(Text(f"{verdict.sentence}.", tone="bad"))
    if figure is not None:
        blocks.append(figure)
    if asked.overload is not None:
        blocks += overload_blocks(found, own, comparison, verdict)
    else:
        blocks.append(_main_table(own, comparison, verdict))
    blocks += _beside(found, comparison)
    blocks += _earlier(found, comparison)
    blocks += knob_blocks(found, own, scenario)
    blocks += detail_folds(found, own, comparison)
    answer = chosen(found, comparison, verdict).answer
    work = f"{asked.work}: " if asked.work and asked.work != scenario else ""
    fold = Fold(
        id=own,
        title=scenario,
        line=f"{work}{answer}",
        blocks=tuple(blocks),
        opened=not verdict.sound,
        tone="" if verdict.sound else "bad",
    )
    return folded(fold, scenario, place)


def _how(found: Findings, comparison: Comparison) -> str:
    settings, findings = found.manifest.plan.settings, comparison.findings
    objective = found.asked[comparison.scenario].objective
    load, table = comparison.common_rps, findings.table
    launches = counted(table.launches, "launch", "launches")
    overload = found.asked[comparison.scenario].overload
    if overload is not None:
        return f"{how(overload)} {launches}, {counted(table.rounds, 'round')}."
    if findings.main is CAPACITY:
        at = f" Figures at {number(load)}/s, where all were measured." if load else ""
        return f"Objective: {objective}. {launches}.{at}"
    at = f" Latency and lag at {number(load)}/s; pace and CPU" if load else " Pace and CPU"
    return (
        f"Objective: {objective}. {launches}, {counted(table.rounds, 'round')}.{at} at full"
        f" speed, {counted(settings.connections, 'connection')}."
    )


def _main_table(own: str, comparison: Comparison, verdict: Verdict) -> Table:
    """Return the one table of a scenario: six columns at most."""
    main, leader = comparison.findings.main.title, comparison.findings.leader
    rows = [_row(comparison, verdict, name) for name in comparison.capacities]
    rows += [
        row_of(name, Cell("–", comparison.absence(name), "bad"), variant=name)
        for name in comparison.not_run
    ]
    first, pace, *others = columns_of(
        f"variant | {main} [requests/s] #{main} | p99 [ms] #percentile | loop lag p99 [ms] #lag"
        " | CPU a request [ms] #cpu"
    )
    beside = Column(f"beside {leader or 'the best'}", term="interval")
    head = (first, pace, beside, *others)
    return table_of(f"{own}-table", head, rows, role="ratios" if leader else "")


def _row(comparison: Comparison, verdict: Verdict, name: str) -> Row:
    doubt = comparison.invalid.get(name)
    tone: Tone = "bad" if doubt else "good" if name in verdict.best else ""
    p99 = quantities.of_row(comparison, name, "p99_ms")
    if p99.text == "–" and comparison.common_rps:
        p99 = Cell("–", missing_note(comparison, name))
    return row_of(
        Cell(name, f"invalid: {sentence(doubt[0])}" if doubt else "", tone),
        quantities.pace(comparison, name),
        _beside_cell(comparison, name),
        p99,
        quantities.of_row(comparison, name, "loop_lag_p99_ms"),
        quantities.cpu(comparison, name),
        variant=name,
        tone=tone,
    )


def missing_note(comparison: Comparison, name: str) -> str:
    """Say why a variant has no latency at the common load: it cannot carry it, or no turn stood."""
    load = f"{number(comparison.common_rps)}/s"
    most = comparison.findings.table.values.get(name)
    if most is not None and comparison.common_rps and most > comparison.common_rps:
        return f"no sound turn at {load}"
    return f"{load} is beyond it"


TONES: dict[Said, Tone] = {
    Said.WORSE: "bad", Said.BETTER: "good", Said.SAME: "good", Said.UNKNOWN: "soft",
    Said.UNSOUND: "bad",
}  # fmt: skip


def _beside_cell(comparison: Comparison, name: str) -> Cell:
    found = comparison.findings
    if name == found.leader:
        if not found.beside:
            return Cell("–", "nothing beside it", "soft")
        return Cell("1", f"best {found.main.title}", "good")
    each = found.said(found.main.name, name)
    tone = TONES[each.said] if each is not None and each.ratio is not None else ""
    return msgspec.structs.replace(quantities.ratio_cell(each, "not compared"), tone=tone)


def _beside(found: Findings, comparison: Comparison) -> list[Block]:
    """Return the paces at other distances."""
    told = []
    for other in found.comparisons:
        asked, findings = found.asked[other.scenario], other.findings
        if asked.beside != comparison.scenario or not findings.leader:
            continue
        where = away(asked.reach, other.round_trips) or "at another distance"
        pace = quantities.pace(other, findings.leader).text
        known = [e for e in findings.beside if e.ratio and e.said is not Said.UNKNOWN]
        open_ = [e.other for e in findings.beside if e.ratio and e.said is Said.UNKNOWN]
        said = [f"{e.other} {ratio_text(e)}, {said_text(e)}" for e in known]
        said += [f"not known of {listed(open_)}"] if open_ else []
        line = "; ".join([f"{findings.leader} {pace}/s", *said])
        told.append(f"{where[:1].upper()}{where[1:]} instead: {line}.")
    return [Bullets(tuple(told))] if told else []


def _earlier(found: Findings, comparison: Comparison) -> list[Block]:
    """Return what other runs on this machine know, which is not of this run."""
    own = [each for each in found.earlier if each.scenario == comparison.scenario]
    if not own:
        return []
    told = "; ".join(f"{e.variant} {number(e.pace_rps)}/s ({e.run_id})" for e in own)
    text = f"Not of this run, but of earlier ones on this machine: {told}."
    return [Text(f"{text} They were other minutes: measure them together.", tone="soft")]
