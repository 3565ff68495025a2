"""A gate's result as texts: Markdown for people and pull requests, JUnit XML for CI. Pure."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.regression.decision import Decision, GateResult
from asyncdb_bench.regression.wording import decision_words
from asyncdb_bench.text import counted, markdown_cell, number, xml_text

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


def gate_markdown(result: GateResult) -> str:
    """Return the result as Markdown."""
    rules = result.rules
    lines = [
        f"## {MARKS[result.said]} Performance gate: {result.said}",
        "",
        f"{SENTENCES[result.said]} {result.head} against {result.base}; {had(result)}. A change"
        f" matters from {rules.least:.0%}.",
        "",
        "| scenario | strategy | figure | base | head | change | interval | said |",
        "|---|---|---|---:|---:|---:|---|---|",
        *(_row(decision) for decision in result.decisions),
        "",
        *(f"- {markdown_cell(note)}" for note in result.notes),
    ]
    return "\n".join(lines).rstrip() + "\n"


def had(result: GateResult) -> str:
    """Say how much was measured."""
    more = ", and one more launch to confirm" if result.confirming else ""
    launches = counted(result.launches, "launch", "launches")
    return f"{counted(result.rounds, 'round')} in {launches}{more}"


def _row(decision: Decision) -> str:
    at = f" at {decision.offered_rps:g}/s" if decision.offered_rps else ""
    interval = decision.change_interval
    return (
        f"| {markdown_cell(decision.scenario)} | {markdown_cell(decision.strategy)} |"
        f" {decision.metric.title}{at} |"
        f" {number(decision.base_value)} | {number(decision.head_value)} |"
        f" {_percent(decision.change)} |"
        f" {f'{_percent(interval[0])} to {_percent(interval[1])}' if interval else '–'} |"
        f" {MARKS[decision.said]} {markdown_cell(decision_words(decision))} |"
    )


def gate_junit(result: GateResult) -> str:
    """Return the result as JUnit XML: a case per decision.

    *Worse* is a failure; *not known* and *not sound* are skipped, with the reason: they do not make
    a run red.
    """
    failed = [decision for decision in result.decisions if decision.said is Said.WORSE]
    skipped = [
        decision for decision in result.decisions if decision.said in (Said.UNKNOWN, Said.UNSOUND)
    ]
    suite = ET.Element(
        "testsuite",
        name="asyncdb-bench gate",
        tests=str(len(result.decisions)),
        failures=str(len(failed)),
        errors="0",
        skipped=str(len(skipped)),
    )
    for decision in result.decisions:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=xml_text(f"{decision.scenario}.{decision.strategy}"),
            name=decision.metric.title,
        )
        if decision.said is Said.WORSE:
            ET.SubElement(case, "failure", message=xml_text(decision_words(decision)), type="worse")
        elif decision in skipped:
            ET.SubElement(case, "skipped", message=xml_text(decision_words(decision)))
        else:
            ET.SubElement(case, "system-out").text = xml_text(decision_words(decision))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"
