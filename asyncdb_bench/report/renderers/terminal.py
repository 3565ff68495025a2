"""A document -> what a terminal shows: the decision, a table for each scenario, the doubts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text as RichText

from asyncdb_bench.analysis.decision import Sure
from asyncdb_bench.report.document import Block, Bullets, Decision, Document, Fold, Table, Text

STYLES = {"good": "green", "bad": "red", "soft": "dim", "": ""}
SURE = {Sure.KNOWN: "green", Sure.SAME: "green", Sure.OPEN: "yellow", Sure.UNSOUND: "red"}
FIRST = {"fairness", "doubts"}
"""Folds of which a terminal shows the line alone, or all where it is open."""


def render_terminal(document: Document) -> Iterator[RenderableType]:
    """Yield what is to be printed, from the top: the first layer, and what is open by itself."""
    for alert in document.alerts:
        yield RichText(f"{alert}.", style="red")
    for section in document.sections:
        if section.scenario:
            yield from _scenario(section.blocks)
        elif section.id in {"decision", "fairness-section", "doubts-section"}:
            for block in section.blocks:
                yield from _renderables(block)


def render_whole(document: Document) -> Iterator[RenderableType]:
    """Yield all of a document that has no more layers than one: head, alerts, every section."""
    yield RichText(document.title, style="bold")
    yield RichText(document.lead, style="dim")
    yield from (RichText(f"{alert}.", style="red") for alert in document.alerts)
    for section in document.sections:
        if section.title:
            yield RichText(f"\n{section.title}", style="bold")
        for block in section.blocks:
            yield from _renderables(block)


def _scenario(blocks: tuple[Block, ...]) -> Iterator[RenderableType]:
    for fold in blocks:
        if not isinstance(fold, Fold):
            continue
        yield RichText(f"{fold.title}: {fold.line}", style="red" if fold.tone == "bad" else "bold")
        for block in fold.blocks:
            if isinstance(block, Table | Text | Bullets):
                yield from _renderables(block)


def _renderables(block: Block) -> Iterator[RenderableType]:
    match block:
        case Text():
            yield RichText(f"{block.text} {block.code}".rstrip(), style=STYLES[block.tone])
        case Bullets():
            yield from (RichText(f"- {each}") for each in block.items)
        case Table():
            yield _table(block)
        case Fold():
            yield RichText(f"{block.title}: {block.line}", style=STYLES[block.tone] or "dim")
            if block.opened:
                for each in block.blocks:
                    yield from _renderables(each)
        case Decision():
            yield from _decision(block)
        case _:
            return


def _decision(block: Decision) -> Iterator[RenderableType]:
    if block.whole:
        yield RichText(block.whole, style="bold")
    made = _grid()
    for title in ("your requests", "use", "because", "it costs", "how sure"):
        made.add_column(title)
    for each in block.choices:
        then = f"; {each.what_then}" if each.what_then else ""
        made.add_row(
            RichText(each.work),
            RichText(each.answer, style="bold"),
            RichText(each.because),
            RichText(each.costs),
            RichText(f"{each.sure}{then}", style=SURE[each.sure]),
        )
    yield made
    if block.felt:
        yield RichText(f"{block.felt}.")
    if block.workers:
        yield RichText(f"{block.workers}.")


def _table(block: Table) -> RichTable:
    made = _grid(block.title)
    for column in block.columns:
        title = f"{column.title}\n{column.unit}" if column.unit else column.title
        made.add_column(RichText(title), justify="left" if column.left else "right")
    for row in block.rows:
        texts = [
            RichText(f"{c.text} ({c.note})" if c.note else c.text, style=STYLES[c.tone])
            for c in row.cells
        ]
        made.add_row(*texts)
    return made


def _grid(title: str = "") -> RichTable:
    return RichTable(
        title=title or None, title_justify="left", box=None, pad_edge=False, header_style="dim"
    )
