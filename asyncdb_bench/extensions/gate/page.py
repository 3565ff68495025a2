"""A gate's result: one document for terminal, Markdown and page; JUnit XML for CI. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.analysis.verdict import percent as rounded
from asyncdb_bench.extensions.gate.decision import FREEZE_MATTERS_MS, Decision, GateResult
from asyncdb_bench.records.doubts import sentence
from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Cell,
    Document,
    Fold,
    Row,
    Section,
    Text,
    columns_of,
    row_of,
    table_of,
)
from asyncdb_bench.report.exports import Case, render_junit
from asyncdb_bench.report.figures.ratios import ForestRow, forest_figure
from asyncdb_bench.report.renderers import render_markdown
from asyncdb_bench.report.sides_page import TONES, at_load, render_page
from asyncdb_bench.text import counted, percent, signed

MARKS = {
    Said.SAME: "✅", Said.BETTER: "🎉", Said.WORSE: "❌", Said.UNKNOWN: "❔", Said.UNSOUND: "⚠️",
}  # fmt: skip
SENTENCES = {
    Said.SAME: "Nothing got worse.",
    Said.BETTER: "Something got better, nothing worse.",
    Said.WORSE: "Something got worse.",
    Said.UNKNOWN: "It could not be told whether something got worse.",
    Said.UNSOUND: "Something could not be measured soundly.",
}
DECIDED = (
    "Each ratio with its interval at the level of its last analysis; within the band a change does"
    " not matter. Green: better; red: worse; blue: the same; grey: not known."
)
COLUMNS = columns_of("strategy, figure | base | head | change, interval | launches, rounds | <said")


def gate_document(result: GateResult, report: str = "") -> Document:
    """Return the document of a gate's result: the verdict, and a table for each scenario.

    Parameters
    ----------
    result : the decisions.
    report : link to the run's own report; empty: there is none.
    """
    confirming = ", and one more launch to confirm" if result.confirming else ""
    had = f"{counted(result.rounds, 'round')} in {counted(result.launches, 'launch', 'launches')}"
    matters = f"a change matters from {percent(result.rules.least)}"
    blocks: list[Block] = [
        Text(SENTENCES[result.said], "bad" if result.said in (Said.WORSE, Said.UNSOUND) else ""),
        Text(f"{had}{confirming}; {matters}.", tone="soft"),
    ]
    if result.notes:
        blocks.append(Bullets(result.notes))
    if report:
        blocks.append(Text("Everything that was measured:", href=report))
    sections = [Section(id="verdict", title="Verdict", blocks=tuple(blocks))]
    for place, (scenario, decisions) in enumerate(_by_scenario(result).items(), start=1):
        table = table_of(f"table-{place}", COLUMNS, map(_row, decisions))
        sections.append(Section(id=f"scenario-{place}", title=scenario, blocks=(table,)))
    return Document(
        title=f"Performance gate: {result.said}",
        lead=f"{result.head} against {result.base}",
        sections=tuple(sections),
    )


def _by_scenario(result: GateResult) -> dict[str, list[Decision]]:
    found: dict[str, list[Decision]] = {}
    for each in result.decisions:
        found.setdefault(each.scenario, []).append(each)
    return found


def _row(each: Decision) -> Row:
    bounds, judged = each.change_interval, each.judged
    return row_of(
        Cell(
            f"{each.strategy} · {each.metric.title}, {each.metric.unit}", at_load(each.offered_rps)
        ),
        each.base_value,
        each.head_value,
        Cell(signed(each.change), f"{signed(bounds[0])} to {signed(bounds[1])}" if bounds else ""),
        f"{judged.launches}, {judged.rounds}",
        Cell(decision_words(each), tone=TONES.get(each.said, "")),
    )


def decision_words(decision: Decision) -> str:
    """Return what a decision says with its figures."""
    judged = decision.judged
    if decision.doubt is not None:
        return f"not sound: {sentence(decision.doubt)}"
    if judged.said is Said.UNSOUND:
        return f"not sound: base differs from itself, or is in doubt, by {rounded(judged.slack)}"
    if judged.said is Said.UNKNOWN:
        return f"not known: {_why_open(decision)}"
    if judged.said is Said.SAME:
        assert judged.high is not None
        return f"the same: worse by {rounded(max(0.0, judged.high - 1))} at most"
    change = f"{decision.change or 0:+.0%}"
    if judged.said is Said.BETTER:
        return f"better: {change}"
    agreed = "a fresh launch agrees" if decision.confirmed else "nothing was measured to confirm it"
    return f"worse: {change}; {agreed}"


def _why_open(decision: Decision) -> str:
    judged, bounds = decision.judged, decision.change_interval
    change = f"{decision.change or 0:+.0%}"
    if decision.confirmed is False:
        return f"{change} was suspected, a fresh launch did not agree"
    if bounds is None or judged.low is None:
        return "too few rounds; give it more time"
    if judged.low > 1:
        return f"{change} is suspected; there was no time for more, or to confirm it"
    return f"between {bounds[0]:+.0%} and {bounds[1]:+.0%}; give it more time"


def gate_markdown(result: GateResult) -> str:
    """Return the result as Markdown, for people and pull requests."""
    document = gate_document(result)
    title = f"{MARKS[result.said]} {document.title}"
    return render_markdown(replace(document, title=title), level=2)


def gate_page(result: GateResult, report: str = "") -> str:
    """Return the result as one HTML page; `report` as :func:`gate_document`."""
    rules = result.rules
    text = (
        "Every round has base twice and head once, in random order; each launch starts all of them"
        f" afresh. A figure is worse where its whole interval lies beyond {percent(rules.least)},"
        " and a fresh launch of just that strategy and scenario agrees. It is the same where the"
        f" 95 % upper bound stays below that, or below {percent(rules.detect)} where time is up."
        f" Analyses follow {', '.join(map(str, rules.rounds))} rounds, and share alpha, so that"
        " analysing often does not raise the false-alarm rate (at a change of just the threshold,"
        f" {percent(rules.alpha)} over all). Where base is known to differ from itself, half of"
        " that is added to the interval. Percentiles are those at the load common to base and head."
        f" Loop freezes have {FREEZE_MATTERS_MS:g} ms added to both sides."
    )
    guide = Fold(id="reading", title="How it decides", line="", blocks=(Text(text),))
    drawings = {
        f"table-{place}": forest_figure(_lines(decisions), scenario, 1 + rules.least)
        for place, (scenario, decisions) in enumerate(_by_scenario(result).items(), start=1)
    }
    return render_page(gate_document(result, report), drawings, DECIDED, guide)


def _lines(decisions: Sequence[Decision]) -> list[ForestRow]:
    several = len({each.strategy for each in decisions}) > 1
    return [
        ForestRow(
            f"{each.strategy} · " * several + each.metric.title,
            each.judged.low or each.judged.ratio,
            each.judged.ratio,
            each.judged.high or each.judged.ratio,
            each.said,
        )
        for each in decisions
        if each.judged.rounds
    ]


def gate_junit(result: GateResult) -> str:
    """Return the result as JUnit XML: a case per decision.

    *Worse* is a failure; *not known* and *not sound* are skipped, with the reason: they do not make
    a run red.
    """
    return render_junit("asyncdb-bench gate", _cases(result.decisions))


def _cases(decisions: Sequence[Decision]) -> Iterator[Case]:
    for each in decisions:
        group, name = f"{each.scenario}.{each.strategy}", each.metric.title
        words = decision_words(each)
        if each.said is Said.WORSE:
            yield Case(group, name, words, "failure", "worse")
        elif each.said in (Said.UNKNOWN, Said.UNSOUND):
            yield Case(group, name, words, "skipped")
        else:
            yield Case(group, name, words)
