"""Comparisons, gates and the history -> documents: what is known to have changed first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from asyncdb_bench.records.history_file import HistoryRun
from asyncdb_bench.regression.change_points import FigureSeries, why
from asyncdb_bench.regression.decision import Decision, GateResult
from asyncdb_bench.regression.effects import FigureEffect
from asyncdb_bench.regression.exports import SENTENCES
from asyncdb_bench.regression.sides import Contrast
from asyncdb_bench.regression.trend import Status, Suspect, overall, suspects
from asyncdb_bench.regression.wording import decision_words, effect_words
from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Document,
    Figure,
    Fold,
    Row,
    Section,
    Table,
    Text,
    Tone,
)
from asyncdb_bench.report.drawing import Drawing
from asyncdb_bench.text import counted, number, percent, probability, signed

COMPARING = (
    "Figures but capacity and pace are taken at one offered load in both. Blocks are the unit: the"
    " logarithm of the ratio is taken per block, its mean and interval (Student's t) over blocks."
    " Faster and slower need a p below 0.05 after Holm's correction for the size of the table; a"
    " tie needs the whole interval within 5 %. Loop lags have 10 ms added to both sides, so that"
    " tiny ones do not make great ratios. The p99 rests on the slowest few requests: look at its"
    " interval."
)
EFFECTS = "Each ratio with its 95 % interval; within the band is a tie. To the right head is worse."
DECIDED = (
    "Each ratio with its interval at the level of its last interim analysis; within the band a"
    " change does not matter. Green: better; red: worse; blue: nothing worse; grey: not known."
)
TONES: dict[str, Tone] = {
    "faster": "good", "improve": "good", "slower": "bad", "regress": "bad", "invalid": "bad",
    "inconclusive": "soft",
}  # fmt: skip
KNOWN = {"faster", "slower", "improve", "regress", "invalid"}
"""Verdicts that are shown at first; the others lie behind a line that counts them."""


def comparison_document(contrasts: Sequence[Contrast]) -> Document:
    """Return the document of a base with one head or more."""
    base, heads = contrasts[0].base, ", ".join(each.head for each in contrasts)
    lead = (
        "Measured in the same blocks: each ratio is taken within a block, then over blocks."
        if contrasts[0].paired
        else "Runs of their own, before and after: each has its own blocks."
    )
    sections: list[Section] = []
    for place, contrast in enumerate(contrasts, start=1):
        sections += _contrast_sections(contrast, place, several=len(contrasts) > 1)
    guide = Fold(id="reading", title="How to read this", line="", blocks=(Text(text=COMPARING),))
    sections.append(Section(id="reading-section", title="", blocks=(guide,)))
    return Document(
        title=f"{heads} against {base}",
        lead=f"{lead} A ratio is head to base.",
        sections=tuple(sections),
        alerts=tuple(dict.fromkeys(w for each in contrasts for w in each.invalidating)),
    )


def _contrast_sections(contrast: Contrast, place: int, *, several: bool) -> list[Section]:
    title = f"{contrast.head} against {contrast.base}" if several else ""
    known = [row for rows in contrast.effects.values() for row in rows if row.verdict in KNOWN]
    changed = sum(row.verdict in {"faster", "slower"} for row in known)
    first: list[Block] = [
        Text(
            text=f"{counted(changed, 'figure')} known to have changed."
            if changed
            else "Nothing is known to have changed.",
            tone="" if changed else "soft",
        )
    ]
    if contrast.warnings:
        first += [Text(text="What else differs between them:"), Bullets(items=contrast.warnings)]
    sections = [Section(id=f"differs-{place}", title=title, blocks=tuple(first))]
    for number_, (scenario, effects) in enumerate(contrast.effects.items(), start=1):
        own = f"scenario-{place}-{number_}"
        blocks = _layers(
            own, [(row.verdict, _effect_row(row)) for row in effects], EFFECT_COLUMNS,
            Figure(
                id=f"{own}-figure", scenario=str(place), name=scenario, caption=EFFECTS,
                alt=f"ratios of head to base in {scenario}",
            ),
        )  # fmt: skip
        sections.append(Section(id=own, title=scenario, blocks=blocks))
    if contrast.left_out:
        left = Bullets(items=contrast.left_out)
        sections.append(Section(id=f"left-out-{place}", title="Left out", blocks=(left,)))
    return sections


def _layers(
    own: str, rows: Sequence[tuple[str, Row]], columns: tuple[Column, ...], figure: Figure
) -> tuple[Block, ...]:
    """Return what is known, and behind a line what is the same or not known, with the figure."""
    known = tuple(row for verdict, row in rows if verdict in KNOWN)
    others = tuple(row for verdict, row in rows if verdict not in KNOWN)
    blocks: list[Block] = []
    if known:
        blocks.append(Table(id=f"{own}-known", columns=columns, rows=known))
    if not known:
        blocks.append(figure)
    if others:
        inside: list[Block] = [Table(id=f"{own}-others", columns=columns, rows=others)]
        said = counted(len(others), "other")
        blocks.append(
            Fold(
                id=f"{own}-rest",
                title=f"{said}: the same or not known",
                line="",
                blocks=tuple(inside),
                opened=False,
            )
        )
    if known:
        blocks.append(figure)
    return tuple(blocks)


EFFECT_COLUMNS = (
    Column(title="figure", left=True),
    Column(title="base"),
    Column(title="head"),
    Column(title="ratio, 95 % interval"),
    Column(title="could see from"),
    Column(title="p, Holm; blocks"),
    Column(title="verdict", left=True),
)


def _effect_row(row: FigureEffect) -> Row:
    who = row.head if row.head == row.base else f"{row.head} against {row.base}"
    at = f"at {number(row.offered_rps)}/s" if row.offered_rps else ""
    effect = row.effect
    ratio, bounds, seen, p = "–", "", "–", "–"
    if effect is not None:
        ratio, p = number(effect.ratio), f"{probability(row.p_adjusted)}; {effect.n}"
        if effect.low is not None:
            bounds = f"{number(effect.low)} to {number(effect.high)}"
        seen = percent(effect.mde - 1 if effect.mde else None)
    return Row(
        cells=(
            Cell(text=f"{who}: {row.figure.title}, {row.figure.unit}", note=at),
            Cell(text=number(row.base_mean)),
            Cell(text=number(row.head_mean)),
            Cell(text=ratio, note=bounds),
            Cell(text=seen),
            Cell(text=p),
            Cell(text=effect_words(row), tone=TONES.get(row.verdict, "")),
        )
    )


def gate_document(result: GateResult, *, has_report: bool) -> Document:
    """Return the document of a gate's result.

    Parameters
    ----------
    result : the decisions.
    has_report : whether the run's own report lies beside it.
    """
    rules = result.rules
    tone: Tone = "bad" if result.verdict in {"regress", "invalid"} else ""
    more = f", {result.confirmation_blocks} more to confirm" if result.confirmation_blocks else ""
    blocks: list[Block] = [
        Text(text=SENTENCES[result.verdict], tone=tone),
        Text(
            text=f"{counted(result.blocks, 'block')}{more}; a change matters from"
            f" {percent(rules.least)}.",
            tone="soft",
        ),
    ]
    if result.notes:
        blocks.append(Bullets(items=tuple(result.notes)))
    if has_report:
        blocks.append(Text(text="Everything that was measured:", href="index.html"))
    sections = [Section(id="verdict", title="Verdict", blocks=tuple(blocks))]
    names = dict.fromkeys(each.scenario for each in result.decisions)
    for place, scenario in enumerate(names, start=1):
        own = [each for each in result.decisions if each.scenario == scenario]
        layers = _layers(
            f"scenario-{place}", [(each.verdict, _decision_row(each)) for each in own],
            DECISION_COLUMNS,
            Figure(
                id=f"scenario-{place}-figure", scenario="", name=scenario, caption=DECIDED,
                alt=f"changes in {scenario}",
            ),
        )  # fmt: skip
        sections.append(Section(id=f"scenario-{place}", title=scenario, blocks=layers))
    text = (
        "Every block holds base twice and head once, in random order, each in fresh processes; base"
        " against itself is the A/A of the same minutes. A figure regresses where its whole"
        f" interval lies beyond {percent(rules.least)} and beyond the A/A's noise, and fresh blocks"
        " of just that strategy and scenario agree. It passes where the 95 % upper bound stays"
        f" below that, or where nothing was seen though a change of {percent(rules.detect)} would"
        " have been. Else it is inconclusive. Interim analyses are made after"
        f" {', '.join(str(each) for each in rules.analyses)} blocks; alpha is spent over them (Lan"
        " and DeMets), so that analysing often does not raise the false-alarm rate (at a change of"
        f" just the threshold, {percent(rules.alpha)} over all). Figures but capacity are taken at"
        " half of the capacity that base showed in a pilot. Loop lags have 10 ms added to both"
        " sides."
    )
    guide = Fold(id="reading", title="How it decides", line="", blocks=(Text(text=text),))
    sections.append(Section(id="reading-section", title="", blocks=(guide,)))
    return Document(
        title=f"Gate: {result.verdict}",
        lead=f"{result.head} against {result.base}",
        sections=tuple(sections),
    )


DECISION_COLUMNS = (
    Column(title="strategy, figure", left=True),
    Column(title="base"),
    Column(title="head"),
    Column(title="change, interval"),
    Column(title="could see from; A/A noise"),
    Column(title="blocks"),
    Column(title="verdict", left=True),
)


def _decision_row(each: Decision) -> Row:
    bounds, interim = each.change_interval, each.interim
    at = f"at {number(each.offered_rps)}/s" if each.offered_rps else ""
    seen = percent(interim.mde - 1 if interim.mde else None)
    noise = percent(interim.noise - 1 if interim.noise > 1 else None)
    return Row(
        cells=(
            Cell(text=f"{each.strategy} · {each.figure.title}, {each.figure.unit}", note=at),
            Cell(text=number(each.base_mean)),
            Cell(text=number(each.head_mean)),
            Cell(
                text=signed(each.change),
                note=f"{signed(bounds[0])} to {signed(bounds[1])}" if bounds else "",
            ),
            Cell(text=f"{seen}; {noise}"),
            Cell(text=str(interim.n)),
            Cell(text=decision_words(each), tone=TONES.get(each.verdict, "")),
        )
    )


HISTORY_NOTE = (
    "Change points by Apache Otava (E-divisive on sliding windows, Student's t with p < 0.001);"
    " changes below 5 %, or below what the runs' own A/A shows to be noise, are not reported. The"
    " canary is a fixed workload that touches none of our code: where it changes too, it was the"
    " machine."
)


def history_document(
    runs: Sequence[HistoryRun],
    series: Sequence[FigureSeries],
    warnings: Sequence[str],
    drawings: Sequence[Drawing],
) -> Document:
    """Return the page of the history: what is worse first, then every series.

    Parameters
    ----------
    runs, series, warnings : of the history.
    drawings : of the series, in their order.
    """
    machines = len({run.machine for run in runs})
    status, count = overall(series)
    found = suspects(series)
    said = f"{count} recent" if count else "no recent change"
    changes: tuple[Block, ...] = (Text(text="No series changed by more than its noise."),)
    if found:
        changes = (_changes_table(found), Text(text=HISTORY_NOTE, tone="soft"))
    figures = [
        (each, _series_figure(each, made, place))
        for place, (each, made) in enumerate(zip(series, drawings, strict=True))
    ]
    order = {id(each.series): place for place, each in reversed(list(enumerate(found)))}
    moved = sorted((f for f in figures if f[0].changes), key=lambda f: order[id(f[0])])
    still = [figure for each, figure in figures if not each.changes]
    blocks: list[Block] = [figure for _, figure in moved]
    if still:
        title = f"{counted(len(still), 'series', 'series')} without a change"
        blocks.append(
            Fold(id="steady", title=title, line="", blocks=tuple(still), opened=not moved)
        )
    return Document(
        title=f"Performance: {status}",
        lead=f"{said} · {counted(len(runs), 'run')}, {runs[0].started_at[:10]} to"
        f" {runs[-1].started_at[:10]}, {counted(machines, 'machine')}. Series of different machines"
        " are never mixed.",
        sections=(
            Section(id="changes", title="What changed", blocks=changes),
            Section(id="series", title="Series", blocks=tuple(blocks)),
        ),
        alerts=tuple(warnings),
    )


def _changes_table(found: Sequence[Suspect]) -> Table:
    tones: dict[Status, Tone] = {Status.WORSE: "bad", Status.BETTER: "good", Status.MACHINE: "soft"}
    rows = []
    for each in found:
        change, tone = each.change, tones[each.status]
        when = f"{change.before.started_at[:10]} to {change.after.started_at[:10]}"
        rows.append(
            Row(
                cells=(
                    Cell(text=str(each.status), note="recent" if each.recent else "", tone=tone),
                    Cell(text=each.series.title),
                    Cell(text=signed(change.ratio - 1), note=f"p {probability(change.p)}"),
                    Cell(text=each.revisions, note=when),
                    Cell(text=why(each.series, change)),
                ),
                tone=tone,
            )
        )  # fmt: skip
    return Table(
        id="changes-table",
        columns=(
            Column(title="became", left=True),
            Column(title="series", left=True),
            Column(title="change"),
            Column(title="suspect revisions", left=True),
            Column(title="what it may be", left=True),
        ),
        rows=tuple(rows),
    )


def _series_figure(each: FigureSeries, made: Drawing, place: int) -> Figure:
    loads = sorted({load for load in each.loads if load})
    at = f" Taken at {', '.join(number(load) for load in loads)}/s." if loads else ""
    return Figure(
        id=f"series-{place}",
        scenario="series",
        name=str(place),
        caption=f"{each.title}: {counted(len(each.values), 'run')} on {each.machine}; a change is"
        f" reported from {percent(each.magnitude)}.{at}",
        alt=made.alt,
    )
