"""A gate's result as texts: Markdown for people and pull requests, JUnit XML for CI. Pure."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from asyncdb_bench.regression.decision import Decision, GateResult
from asyncdb_bench.regression.wording import decision_words
from asyncdb_bench.text import counted, markdown_cell, number, xml_text

MARKS = {"pass": "✅", "improve": "🎉", "regress": "❌", "inconclusive": "❔", "invalid": "⚠️"}
SENTENCES = {
    "pass": "Nothing got worse.",
    "improve": "Something got better, nothing worse.",
    "regress": "Something got worse, and fresh blocks agree.",
    "inconclusive": "It could not be told whether something got worse.",
    "invalid": "Something could not be measured soundly.",
}


def gate_markdown(result: GateResult) -> str:
    """Return the result as Markdown."""
    rules = result.rules
    lines = [
        f"## {MARKS[result.verdict]} Performance gate: {result.verdict}",
        "",
        f"{SENTENCES[result.verdict]} {result.head} against {result.base};"
        f" {counted(result.blocks, 'block')}"
        + (f", {result.confirmation_blocks} to confirm" if result.confirmation_blocks else "")
        + f". A change matters from {rules.least:.0%}, or from what the A/A shows to be noise.",
        "",
        "| scenario | strategy | figure | base | head | change | interval | A/A noise | verdict |",
        "|---|---|---|---:|---:|---:|---|---:|---|",
        *(_row(decision) for decision in result.decisions),
        "",
        *(f"- {markdown_cell(note)}" for note in result.notes),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(decision: Decision) -> str:
    at = f" at {decision.offered_rps:g}/s" if decision.offered_rps else ""
    interval = decision.change_interval
    return (
        f"| {markdown_cell(decision.scenario)} | {markdown_cell(decision.strategy)} |"
        f" {decision.figure.title}{at} |"
        f" {number(decision.base_mean)} | {number(decision.head_mean)} |"
        f" {_percent(decision.change)} |"
        f" {f'{_percent(interval[0])} to {_percent(interval[1])}' if interval else '–'} |"
        f" {_percent(decision.interim.noise - 1 if decision.interim.noise > 1 else None)} |"
        f" {MARKS[decision.verdict]} {markdown_cell(decision_words(decision))} |"
    )


def gate_junit(result: GateResult) -> str:
    """Return the result as JUnit XML: a case per decision.

    *Regress* is a failure; *inconclusive* and *invalid* are skipped, with the reason: they do not
    make a run red.
    """
    failed = [decision for decision in result.decisions if decision.verdict == "regress"]
    skipped = [
        decision for decision in result.decisions if decision.verdict in {"inconclusive", "invalid"}
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
            name=decision.figure.title,
        )
        if decision.verdict == "regress":
            ET.SubElement(
                case, "failure", message=xml_text(decision_words(decision)), type="regress"
            )
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
