"""A document -> one HTML page, Markdown, what a terminal shows. They compute nothing.

The page is self-contained: everything in it is escaped, and it asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text as RichText

from asyncdb_bench.analysis.decision import Sure
from asyncdb_bench.report.axes import Drawing, svg_markup
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
    Tone,
    YourCase,
    decision_blocks,
)
from asyncdb_bench.text import PROGRAM, counted, markdown_cell, number, visible

SCRIPTS = ("tables.js", "advice.js", "plot.js", "compare.js")
SHAPES = {Sure.KNOWN: "●", Sure.SAME: "◆", Sure.OPEN: "○", Sure.UNSOUND: "✕"}
"""How sure is seen by shape, too."""
SHOWN = 6
"""Items of a long list that are shown at first."""


def render_html(document: Document, drawings: Mapping[str, Mapping[str, Drawing]]) -> str:
    """Return a document as one page.

    Parameters
    ----------
    document : the page.
    drawings : by scenario and name, of its figures.
    """
    environment = templates()
    variants = {name: place for place, name in enumerate(document.variants)}

    def drawn(figure: Figure) -> Markup | None:
        made = drawings.get(figure.scenario, {}).get(figure.name)
        return svg_markup(made) if made is not None else None

    return environment.get_template("document.html.j2").render(
        document=document,
        drawn=drawn,
        kind=lambda block: block.__struct_config__.tag,
        of=lambda name: variants.get(name, ""),
        shapes=SHAPES,
        shown=SHOWN,
        data=page_data(document),
        script=script(),
    )


def page_data(document: Document) -> Markup:
    """Return what the page's script works with, as JSON that cannot end a script element."""
    case = next((block for block in document.walk() if isinstance(block, YourCase)), None)
    data = {
        "variants": [visible(name) for name in document.variants],
        "compared": document.compared,
        "advising": case.advising if case is not None else None,
    }
    text = msgspec.json.encode(data).decode()
    for odd in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(odd, f"\\u{ord(odd):04x}")
    return Markup(text)  # noqa: S704 - JSON, made safe just above


def breakable(text: str) -> Markup:
    """Return a text, escaped, whose lines may end after the colon in a variant's label."""
    return Markup(":<wbr>").join(escape(each) for each in str(_shown(text)).split(":"))


def templates() -> Environment:
    """Return the pages' templates: everything is escaped, a name that is missing is an error."""
    environment = Environment(
        loader=PackageLoader("asyncdb_bench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["breakable"] = breakable
    environment.globals["counted"] = counted
    return environment


def script() -> Markup:
    """Return the page's script; everything can be read without it."""
    folder = files("asyncdb_bench.report").joinpath("templates")
    texts = [folder.joinpath(name).read_text("utf-8") for name in SCRIPTS]
    # the script is written for a checkout, and names the command line as it is called there
    script = "\n".join(texts).replace("bench.py run", f"{PROGRAM} run")
    return Markup(script)  # noqa: S704 - files of ours


def _shown(value: Any) -> Any:
    """Return what a template is to show; texts from data without what hides or turns around."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


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
            yield from _table_lines(block)
        case Data():
            yield from _table_lines(block.table)
        case YourCase():
            yield from _table_lines(block.grid)
        case Decision():
            for place, each in enumerate(decision_blocks(block)):
                if place:
                    yield ""
                yield from _lines(each, level)
        case _:
            yield from _word_lines(block)


def _word_lines(block: Text | Bullets | Facts | Figure) -> Iterator[str]:
    match block:
        case Text():
            code = f" `{block.code}`" if block.code else ""
            link = f" [{block.href}]({block.href})" if block.href else ""
            mark = "**" if block.tone == "strong" else ""
            yield f"{mark}{markdown_cell(block.text)}{mark}{code}{link}"
        case Bullets():
            yield from (f"- {markdown_cell(each)}" for each in block.items)
        case Facts():
            yield from (f"- **{markdown_cell(k)}**: {markdown_cell(v)}" for k, v in block.items)
        case Figure():
            yield f"*{markdown_cell(block.alt)}*"


def _table_lines(table: Table) -> Iterator[str]:
    if table.title:
        yield f"{markdown_cell(table.title)}:"
        yield ""
    units = [f"{each.title}, {each.unit}" if each.unit else each.title for each in table.columns]
    yield _row_line(units)
    yield "|" + "|".join("---" if each.left else "---:" for each in table.columns) + "|"
    for row in table.rows:
        texts = [f"{c.text} ({c.note})" if c.note else c.text for c in row.cells]
        yield _row_line([*texts, *[""] * (len(table.columns) - len(texts))])
    if table.note:
        yield ""
        yield markdown_cell(table.note)


def _row_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(markdown_cell(each) for each in cells)} |"


STYLES: dict[Tone, str] = {
    "good": "green", "bad": "red", "soft": "dim", "strong": "bold", "": "",
}  # fmt: skip


def render_terminal(document: Document) -> Iterator[RenderableType]:
    """Yield what is to be printed, from the top: the first layer, and what is open by itself."""
    for alert in document.alerts:
        yield RichText(f"{alert}.", style="red")
    for section in document.sections:
        if section.scenario:
            yield from _scenario_renderables(section.blocks)
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


def _scenario_renderables(blocks: tuple[Block, ...]) -> Iterator[RenderableType]:
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
            yield _rich_table(block)
        case Fold():
            yield RichText(f"{block.title}: {block.line}", style=STYLES[block.tone] or "dim")
            if block.opened:
                for each in block.blocks:
                    yield from _renderables(each)
        case Decision():
            for each in decision_blocks(block):
                yield from _renderables(each)
        case _:
            return


def _rich_table(block: Table) -> RichTable:
    made = RichTable(
        title=block.title or None,
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
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
