"""One scenario: a fold with one figure and one table, and what lies behind them."""

from __future__ import annotations

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.turns.answers import Answer, Said
from asyncdb_bench.analysis.turns.values import PACE
from asyncdb_bench.analysis.verdict_parts import Verdict
from asyncdb_bench.records.sentences import sentence
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
)
from asyncdb_bench.report.exports import against_best, ratio_bounds
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.behind import behind
from asyncdb_bench.report.parts.figures import figure_of
from asyncdb_bench.report.parts.knobs import knob_blocks
from asyncdb_bench.report.turn_words import ratio_text, said_text
from asyncdb_bench.text import counted, listed, number

MAIN = (
    "p99 (solid, with 95 % bounds) and p50 (dotted) by offered load; below, the loop's lag (solid)"
    " and a request without database work (dotted). Rings: knees. Bars on the line: capacities."
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
    asked = found.asked[comparison.scenario]
    own = f"scenario-{place}"
    figure = figure_of(
        found, comparison.scenario, "latency", f"{own}-latency", MAIN, role="curves"
    )  # fmt: skip
    blocks: list[Block] = [Text(text=_how(found, comparison), tone="soft")]
    if not verdict.best or not verdict.sound:
        blocks.append(Text(text=f"{verdict.sentence}.", tone="bad"))
    if figure is not None:
        blocks.append(figure)
    blocks.append(main_table(own, comparison, verdict))
    blocks += _beside(found, comparison)
    blocks += knob_blocks(found, own, comparison.scenario)
    blocks += behind(found, own, comparison)
    use = " or ".join(verdict.best) if verdict.best else "no answer"
    work = f", {asked.work}" if asked.work and asked.work != comparison.scenario else ""
    fold = Fold(
        id=own,
        title=comparison.scenario,
        line=f"{work.removeprefix(', ')}: {use}" if work else use,
        blocks=tuple(blocks),
        opened=not verdict.sound,
        tone="" if verdict.sound else "bad",
    )
    return Section(
        id=f"{own}-section", title="", blocks=(fold,), nav=comparison.scenario, scenario=place
    )


def _how(found: Findings, comparison: Comparison) -> str:
    settings, turns = found.manifest.plan.settings, comparison.turns
    objective = found.asked[comparison.scenario].objective
    load = comparison.common_rps
    if turns is None:
        at = f" Figures at {number(load)}/s, where all were measured." if load else ""
        return f"Objective: {objective}. {counted(settings.blocks, 'block')}.{at}"
    at = f" Latency and lag at {number(load)}/s; pace and CPU" if load else " Pace and CPU"
    return (
        f"Objective: {objective}. {counted(turns.blocks, 'block')} of"
        f" {counted(turns.rounds, 'round')}.{at} with"
        f" {counted(settings.connections, 'connection')} that ask again at once."
    )


def main_table(own: str, comparison: Comparison, verdict: Verdict) -> Table:
    """Return the one table of a scenario: six columns at most."""
    turned = comparison.turns is not None
    base = comparison.turns.leader if comparison.turns else ""
    beside = f"beside {base}" if base else "beside the best"
    columns = (
        Column(title="variant", left=True),
        Column(
            title="pace" if turned else "capacity",
            unit="requests/s",
            term="pace" if turned else "capacity",
        ),
        Column(title=beside, term="interval"),
        Column(title="p99", unit="ms", term="percentile"),
        Column(title="loop lag p99", unit="ms", term="lag"),
        Column(title="CPU a request", unit="ms", term="cpu"),
    )
    rows = [_row(comparison, verdict, name) for name in comparison.capacities]
    rows += [
        Row(
            cells=(Cell(text=name), Cell(text="–", note=comparison.absence(name), tone="bad")),
            variant=name,
        )
        for name in comparison.not_run
    ]
    return Table(
        id=f"{own}-table",
        columns=columns,
        rows=tuple(rows),
        role="ratios" if base else "",
    )


def _row(comparison: Comparison, verdict: Verdict, name: str) -> Row:
    doubt = comparison.invalid.get(name)
    tone: Tone = "bad" if doubt else "good" if name in verdict.best else ""
    first = Cell(text=name, note=f"invalid: {sentence(doubt[0])}" if doubt else "", tone=tone)
    p99 = quantities.of_row(comparison, name, "p99_ms")
    if p99.text == "–" and comparison.common_rps:
        p99 = Cell(text="–", note=missing_note(comparison, name))
    return Row(
        cells=(
            first,
            quantities.pace(comparison, name),
            _beside_cell(comparison, name),
            p99,
            quantities.of_row(comparison, name, "loop_lag_p99_ms"),
            quantities.cpu(comparison, name),
        ),
        variant=name,
        tone=tone,
    )


def missing_note(comparison: Comparison, name: str) -> str:
    """Say why a variant has no latency at the common load: it cannot carry it, or no turn stood."""
    load = f"{number(comparison.common_rps)}/s"
    turns = comparison.turns
    most = turns.tables[PACE.name].values.get(name) if turns else comparison.capacities[name].rps
    if most is not None and comparison.common_rps and most > comparison.common_rps:
        return f"no sound turn at {load}" if turns else f"no sound step at {load}"
    return f"{load} is beyond it"


def _beside_cell(comparison: Comparison, name: str) -> Cell:
    if comparison.turns is None:
        standing = comparison.standings[name]
        note = ratio_bounds(standing).removeprefix(": ") if standing.ratio != 1 else ""
        tone: Tone = "good" if standing.level else ""
        return Cell(text=against_best(comparison, name), note=note, tone=tone)
    if name == comparison.turns.leader:
        return Cell(text="1", note="best pace", tone="good")
    each = comparison.turns.said(PACE.name, name)
    if each is None or each.ratio is None:
        return Cell(text="not compared")
    return Cell(text=ratio_text(each), note=said_text(each), tone=tone_of(each))


def tone_of(each: Answer) -> Tone:
    """Return how an answer is to be seen."""
    tones: dict[Said, Tone] = {
        Said.WORSE: "bad", Said.BETTER: "good", Said.SAME: "good", Said.UNKNOWN: "soft",
    }  # fmt: skip
    return tones[each.said]


def _beside(found: Findings, comparison: Comparison) -> list[Block]:
    """Return the pace at other distances, and who differs on other axes."""
    told = []
    own = {each.scenario: each for each in found.comparisons}
    for asked in found.asked.values():
        other = own.get(asked.label)
        if asked.beside != comparison.scenario or other is None or other.turns is None:
            continue
        if not other.turns.leader:
            continue
        answers = [each for each in other.turns.answers[PACE.name] if each.ratio is not None]
        said = listed([f"{each.other} {ratio_text(each)}" for each in answers])
        pace = quantities.pace(other, other.turns.leader).text
        told.append(
            f"At {asked.reach.rtt_ms:g} ms instead: {other.turns.leader} {pace}/s; {said}."
            if asked.reach.rtt_ms
            else f"On loopback instead: {other.turns.leader} {pace}/s; {said}."
        )
    return [Bullets(items=tuple(told))] if told else []
