"""A document -> Markdown, whole or the few lines that a pull request has room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Data,
    Decision,
    Document,
    Facts,
    Figure,
    Fold,
    Table,
    Text,
    YourCase,
)
from asyncdb_bench.text import markdown_cell

MOST_LINES = 25
"""Of a summary."""


def render_markdown(document: Document, level: int = 1) -> str:
    """Return the whole document; figures are told in words.

    Parameters
    ----------
    document : any.
    level : of its heading.
    """
    head = "#" * level
    lines = [f"{head} {markdown_cell(document.title)}", "", markdown_cell(document.lead), ""]
    lines += [f"**{markdown_cell(each)}.**" for each in document.alerts]
    for section in document.sections:
        if section.title:
            lines += ["", f"{head}# {markdown_cell(section.title)}"]
        for block in section.blocks:
            lines += ["", *_lines(block, level + 2)]
    return "\n".join(lines).rstrip() + "\n"


def render_summary(document: Document, link: str) -> str:
    """Return decision, table, doubts and link: for a pull request, 25 lines at most.

    Parameters
    ----------
    document : a run's.
    link : to the page.
    """
    lines = ["## asyncdb-bench: how to call the database", "", markdown_cell(document.lead), ""]
    lines += [f"⚠️ **{markdown_cell(each)}.**" for each in document.alerts[:2]]
    body: list[str] = []
    for block in document.sections[0].blocks:
        body += [*_lines(block, 3), ""]
    doubts = [
        f"{each.title}: {each.line}."
        for each in document.walk()
        if isinstance(each, Fold) and each.id in {"fairness", "doubts"}
    ]
    foot = [markdown_cell(" ".join(doubts)), "", f"[The report]({link})"]
    room = MOST_LINES - len(lines) - len(foot) - 1
    if len(body) > room:
        body = [*body[: room - 1], "… and more in the report."]
    return "\n".join([*lines, *body, *foot]).rstrip() + "\n"


def _lines(block: Block, level: int) -> Iterator[str]:
    match block:
        case Fold():
            line = f": {block.line}" if block.line else ""
            yield f"{'#' * level} {markdown_cell(block.title + line)}"
            for each in block.blocks:
                yield ""
                yield from _lines(each, level + 1)
        case Table():
            yield from _table(block)
        case Data():
            yield from _table(block.table)
        case YourCase():
            yield from _table(block.grid)
        case Decision():
            yield from _decision(block)
        case _:
            yield from _words(block)


def _words(block: Text | Bullets | Facts | Figure) -> Iterator[str]:
    match block:
        case Text():
            code = f" `{block.code}`" if block.code else ""
            link = f" [{block.href}]({block.href})" if block.href else ""
            yield f"{markdown_cell(block.text)}{code}{link}"
        case Bullets():
            yield from (f"- {markdown_cell(each)}" for each in block.items)
        case Facts():
            yield from (f"- **{markdown_cell(k)}**: {markdown_cell(v)}" for k, v in block.items)
        case Figure():
            yield f"*{markdown_cell(block.alt)}*"


def _decision(block: Decision) -> Iterator[str]:
    if block.whole:
        yield f"**{markdown_cell(block.whole)}**"
        yield ""
    yield "| your requests | use | because | it costs | how sure |"
    yield "|---|---|---|---|---|"
    for each in block.choices:
        then = f"; {each.what_then}" if each.what_then else ""
        yield _row(
            (
                each.work,
                each.answer,
                each.because,
                each.costs,
                f"{each.sure}{then}",
            )
        )
    if block.felt:
        yield ""
        yield f"{markdown_cell(block.felt)}."
    if block.workers:
        yield ""
        yield f"{markdown_cell(block.workers)}."


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"{markdown_cell(table.title)}:"
        yield ""
    units = [f"{each.title}, {each.unit}" if each.unit else each.title for each in table.columns]
    yield _row(units)
    yield "|" + "|".join("---" if each.left else "---:" for each in table.columns) + "|"
    for row in table.rows:
        texts = [f"{c.text} ({c.note})" if c.note else c.text for c in row.cells]
        yield _row([*texts, *[""] * (len(table.columns) - len(texts))])
    if table.note:
        yield ""
        yield markdown_cell(table.note)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(markdown_cell(each) for each in cells)} |"
