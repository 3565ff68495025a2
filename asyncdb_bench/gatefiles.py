"""A gate's result as texts: Markdown for people and pull requests, JUnit XML for CI. Pure."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from asyncdb_bench.gate import GateCell, GateResult
from asyncdb_bench.wording import counted, markdown_cell, number, xml_text

MARKS = {"pass": "✅", "improve": "🎉", "regress": "❌", "inconclusive": "❔", "invalid": "⚠️"}
SENTENCES = {
    "pass": "Nothing got worse.",
    "improve": "Something got better, nothing worse.",
    "regress": "Something got worse, and fresh blocks agree.",
    "inconclusive": "It could not be told whether something got worse.",
    "invalid": "Something could not be measured soundly.",
}


def markdown(result: GateResult) -> str:
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
        *(_row(cell) for cell in result.cells),
        "",
        *(f"- {markdown_cell(note)}" for note in result.notes),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(cell: GateCell) -> str:
    at = f" at {cell.offered_rps:g}/s" if cell.offered_rps else ""
    interval = change_interval(cell)
    return (
        f"| {markdown_cell(cell.scenario)} | {markdown_cell(cell.strategy)} |"
        f" {cell.figure.title}{at} |"
        f" {number(cell.base_mean)} | {number(cell.head_mean)} | {_percent(change(cell))} |"
        f" {f'{_percent(interval[0])} to {_percent(interval[1])}' if interval else '–'} |"
        f" {_percent(cell.look.noise - 1 if cell.look.noise > 1 else None)} |"
        f" {MARKS[cell.verdict]} {markdown_cell(cell.words)} |"
    )


def change(cell: GateCell) -> float | None:
    """Return head / base - 1, in the figure's own direction; None where it is not known."""
    if not cell.look.n:
        return None
    return (1 / cell.look.ratio if cell.figure.more_is_better else cell.look.ratio) - 1


def change_interval(cell: GateCell) -> tuple[float, float] | None:
    """Return the bounds of :func:`change`; None from one block alone."""
    low, high = cell.look.low, cell.look.high
    if low is None or high is None:
        return None
    return (1 / high - 1, 1 / low - 1) if cell.figure.more_is_better else (low - 1, high - 1)


def junit(result: GateResult) -> str:
    """Return the result as JUnit XML: a case per cell.

    *Regress* is a failure; *inconclusive* and *invalid* are skipped, with the reason: they do not
    make a night red.
    """
    failed = [cell for cell in result.cells if cell.verdict == "regress"]
    skipped = [cell for cell in result.cells if cell.verdict in {"inconclusive", "invalid"}]
    suite = ET.Element(
        "testsuite",
        name="asyncdb-bench gate",
        tests=str(len(result.cells)),
        failures=str(len(failed)),
        errors="0",
        skipped=str(len(skipped)),
    )
    for cell in result.cells:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=xml_text(f"{cell.scenario}.{cell.strategy}"),
            name=cell.figure.title,
        )
        if cell.verdict == "regress":
            ET.SubElement(case, "failure", message=xml_text(cell.words), type="regress")
        elif cell in skipped:
            ET.SubElement(case, "skipped", message=xml_text(cell.words))
        else:
            ET.SubElement(case, "system-out").text = xml_text(cell.words)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"
