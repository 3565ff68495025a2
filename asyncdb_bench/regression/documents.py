"""Comparisons, gates and the history -> documents: what is known to have changed first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.records.history_file import HistoryRun
from asyncdb_bench.regression.change_points import FigureSeries, why
from asyncdb_bench.regression.decision import Decision, GateResult
from asyncdb_bench.regression.exports import SENTENCES, had
from asyncdb_bench.regression.sides import Compared, Contrast
from asyncdb_bench.regression.trend import Status, Suspect, overall, suspects
from asyncdb_bench.regression.wording import compared_words, decision_words
from asyncdb_bench.report.axes import Drawing
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
from asyncdb_bench.text import counted, number, percent, probability, signed

COMPARING = (
    "By the same inference as a report. In one run each ratio is taken within rounds in which both"
    " had their turn; of two runs each side has rounds of its own. Percentiles and CPU of a ladder"
    " are those at one offered load in both. Better and worse: the interval leaves out 1; the same:"
    " within 5 %; not sound: what is doubtful could turn it. Loop freezes have 1 ms added to both"
    " sides, so that tiny ones do not make great ratios."
)
RATIOS = (
    "Each ratio with its 95 % interval; within the band is the same. To the right head is worse."
)
DECIDED = (
    "Each ratio with its interval at the level of its last analysis; within the band a change does"
    " not matter. Green: better; red: worse; blue: the same; grey: not known."
)
TONES: dict[Said, Tone] = {
    Said.BETTER: "good", Said.WORSE: "bad", Said.UNSOUND: "bad", Said.UNKNOWN: "soft",
}  # fmt: skip
KNOWN = (Said.BETTER, Said.WORSE, Said.UNSOUND)
"""What is shown at first; the others lie behind a line that counts them."""


def comparison_document(contrasts: Sequence[Contrast]) -> Document:
    """Return the document of a base with one head or more."""
    base, heads = contrasts[0].base, ", ".join(each.head for each in contrasts)
    lead = (
        "Measured in the same rounds."
        if contrasts[0].paired
        else "Runs of their own, before and after."
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
    said = [row.answer.said for rows in contrast.compared.values() for row in rows]
    changed = sum(each in (Said.BETTER, Said.WORSE) for each in said)
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
    for number_, (scenario, rows) in enumerate(contrast.compared.items(), start=1):
        own = f"scenario-{place}-{number_}"
        blocks = _layers(
            own, [(row.answer.said, _compared_row(row)) for row in rows], COMPARED_COLUMNS,
            Figure(
                id=f"{own}-figure", scenario=str(place), name=scenario, caption=RATIOS,
                alt=f"ratios of head to base in {scenario}",
            ),
        )  # fmt: skip
        sections.append(Section(id=own, title=scenario, blocks=blocks))
    if contrast.left_out:
        left = Bullets(items=contrast.left_out)
        sections.append(Section(id=f"left-out-{place}", title="Left out", blocks=(left,)))
    return sections


def _layers(
    own: str, rows: Sequence[tuple[Said, Row]], columns: tuple[Column, ...], figure: Figure
) -> tuple[Block, ...]:
    """Return what is known, and behind a line what is the same or not known, with the figure."""
    known = tuple(row for said, row in rows if said in KNOWN)
    others = tuple(row for said, row in rows if said not in KNOWN)
    blocks: list[Block] = []
    if known:
        blocks.append(Table(id=f"{own}-known", columns=columns, rows=known))
    if not known:
        blocks.append(figure)
    if others:
        inside: list[Block] = [Table(id=f"{own}-others", columns=columns, rows=others)]
        count = counted(len(others), "other")
        blocks.append(
            Fold(
                id=f"{own}-rest",
                title=f"{count}: the same or not known",
                line="",
                blocks=tuple(inside),
                opened=False,
            )
        )
    if known:
        blocks.append(figure)
    return tuple(blocks)


COMPARED_COLUMNS = (
    Column(title="figure", left=True),
    Column(title="base"),
    Column(title="head"),
    Column(title="ratio, 95 % interval"),
    Column(title="launches, rounds"),
    Column(title="said", left=True),
)


def _compared_row(row: Compared) -> Row:
    who = row.head if row.head == row.base else f"{row.head} against {row.base}"
    at = f"at {number(row.offered_rps)}/s" if row.offered_rps else ""
    metric, ratio = row.answer.metric, row.answer.ratio
    shown, bounds, had_ = "–", "", "–"
    if ratio is not None:
        shown, had_ = number(ratio.ratio), f"{ratio.launches}, {ratio.rounds}"
        if ratio.bounds is not None:
            bounds = f"{number(ratio.bounds[0])} to {number(ratio.bounds[1])}"
    return Row(
        cells=(
            Cell(text=f"{who}: {metric.title}, {metric.unit}", note=at),
            Cell(text=number(row.base_value)),
            Cell(text=number(row.head_value)),
            Cell(text=shown, note=bounds),
            Cell(text=had_),
            Cell(text=compared_words(row), tone=TONES.get(row.answer.said, "")),
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
    tone: Tone = "bad" if result.said in (Said.WORSE, Said.UNSOUND) else ""
    blocks: list[Block] = [
        Text(text=SENTENCES[result.said], tone=tone),
        Text(text=f"{had(result)}; a change matters from {percent(rules.least)}.", tone="soft"),
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
            f"scenario-{place}", [(each.said, _decision_row(each)) for each in own],
            DECISION_COLUMNS,
            Figure(
                id=f"scenario-{place}-figure", scenario="", name=scenario, caption=DECIDED,
                alt=f"changes in {scenario}",
            ),
        )  # fmt: skip
        sections.append(Section(id=f"scenario-{place}", title=scenario, blocks=layers))
    text = (
        "Every round has base twice and head once, in random order; each launch starts all of them"
        f" afresh. A figure is worse where its whole interval lies beyond {percent(rules.least)},"
        " and a fresh launch of just that strategy and scenario agrees. It is the same where the"
        f" 95 % upper bound stays below that, or below {percent(rules.detect)} where time is up."
        f" Analyses follow {', '.join(map(str, rules.rounds))} rounds, and share alpha, so that"
        " analysing often does not raise the false-alarm rate (at a change of just the threshold,"
        f" {percent(rules.alpha)} over all). Where base is known to differ from itself, half of"
        " that is added to the interval. Percentiles are those at the load common to base and head."
        " Loop freezes have 1 ms added to both sides."
    )
    guide = Fold(id="reading", title="How it decides", line="", blocks=(Text(text=text),))
    sections.append(Section(id="reading-section", title="", blocks=(guide,)))
    return Document(
        title=f"Gate: {result.said}",
        lead=f"{result.head} against {result.base}",
        sections=tuple(sections),
    )


DECISION_COLUMNS = (
    Column(title="strategy, figure", left=True),
    Column(title="base"),
    Column(title="head"),
    Column(title="change, interval"),
    Column(title="launches, rounds"),
    Column(title="said", left=True),
)


def _decision_row(each: Decision) -> Row:
    bounds, judged = each.change_interval, each.judged
    at = f"at {number(each.offered_rps)}/s" if each.offered_rps else ""
    return Row(
        cells=(
            Cell(text=f"{each.strategy} · {each.metric.title}, {each.metric.unit}", note=at),
            Cell(text=number(each.base_value)),
            Cell(text=number(each.head_value)),
            Cell(
                text=signed(each.change),
                note=f"{signed(bounds[0])} to {signed(bounds[1])}" if bounds else "",
            ),
            Cell(text=f"{judged.launches}, {judged.rounds}"),
            Cell(text=decision_words(each), tone=TONES.get(each.said, "")),
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
