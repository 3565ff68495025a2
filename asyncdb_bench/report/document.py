"""A page as data: sections of sentences, tables, figures and folds. Pure.

Renderers turn one document into HTML, Markdown, JSON and the terminal's text, so that the four
never disagree. A text here is plain: no markup, nothing escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec

from asyncdb_bench.analysis.advice import Advising
from asyncdb_bench.analysis.decision import Choice, Sure
from asyncdb_bench.text import number

Tone = Literal["", "good", "bad", "soft", "strong"]
"""What a text is to be seen as; whatever it says is in its words, too."""


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Any part of a document."""


class Text(Node, frozen=True, tag="text"):
    """A paragraph; `code` follows it as a command or path, `href` as a link."""

    text: str
    tone: Tone = ""
    code: str = ""
    href: str = ""


class Bullets(Node, frozen=True, tag="bullets"):
    """A list; of more than a few the first are shown and `more` says what the others are."""

    items: tuple[str, ...]
    more: str = ""


class Facts(Node, frozen=True, tag="facts"):
    """Names and what is to be said of each; `anchors` makes each a place to link to."""

    items: tuple[tuple[str, str], ...]
    anchors: tuple[str, ...] = ()


class Column(Node, frozen=True, tag="column"):
    """A column's title and unit; `term` is the word of the guide that explains it."""

    title: str
    unit: str = ""
    left: bool = False
    term: str = ""


class Cell(Node, frozen=True, tag="cell"):
    """One cell.

    Parameters
    ----------
    text : what is shown.
    note : in small letters below.
    tone : how.
    key : what the figure is of, the same wherever it is shown; empty: it is no figure.
    """

    text: str
    note: str = ""
    tone: Tone = ""
    key: str = ""


class Row(Node, frozen=True, tag="row"):
    """A row; `variant` is the label of the variant that it is of."""

    cells: tuple[Cell, ...]
    variant: str = ""
    tone: Tone = ""


def row_of(*values: Cell | str | float | None, variant: str = "", tone: Tone = "") -> Row:
    """Return a row of plain values; a figure has three digits, and none is a dash.

    Parameters
    ----------
    values : of its cells.
    variant, tone : of the row.
    """
    texts = (number(each) if isinstance(each, float | int | None) else each for each in values)
    cells = tuple(Cell(each) if isinstance(each, str) else each for each in texts)
    return Row(cells, variant, tone)


def columns_of(head: str) -> tuple[Column, ...]:
    """Return columns by their titles in one line: ``variant | <cores | pace [requests/s] #pace``.

    Parameters
    ----------
    head : of each column ``<`` where it is set left, as the first one is; the title, its unit, and
        the word of the guide that explains it.
    """
    found = []
    for place, text in enumerate(head.split(" | ")):
        title, _, term = text.removeprefix("<").partition(" #")
        title, _, unit = title.partition(" [")
        left = not place or text.startswith("<")
        found.append(Column(title, unit.removesuffix("]"), left, term))
    return tuple(found)


class Table(Node, frozen=True, kw_only=True, tag="table"):
    """A table.

    Parameters
    ----------
    id : unique in the document.
    columns, rows : its content.
    title : above it.
    note : below it.
    role : ``ratios`` where a reader can choose the base of its ratios.
    """

    id: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    title: str = ""
    note: str = ""
    role: str = ""


def table_of(
    own: str,
    head: str | tuple[Column, ...],
    rows: Iterable[Row],
    *,
    title: str = "",
    note: str = "",
    role: str = "",
) -> Table:
    """Return a table; parameters as of :class:`Table`, `head` as of :func:`columns_of`."""
    columns = columns_of(head) if isinstance(head, str) else head
    return Table(id=own, columns=columns, rows=tuple(rows), title=title, note=note, role=role)


class Data(Node, frozen=True, tag="data"):
    """A table for those who ask for it; `title` is how they do."""

    title: str
    table: Table


class Figure(Node, frozen=True, kw_only=True, tag="figure"):
    """A figure: its drawing is found by its name; words and data stand for it where there is none.

    Parameters
    ----------
    id : unique in the document.
    scenario, name : of the drawing.
    caption : below it.
    alt : what it shows, in words.
    columns, rows : the data behind it.
    role : ``ratios`` or ``curves`` where a reader can draw it anew.
    """

    id: str
    scenario: str
    name: str
    caption: str
    alt: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    role: str = ""


class Fold(Node, frozen=True, kw_only=True, tag="fold"):
    """What is looked at on demand; open by itself where there is something to see."""

    id: str
    title: str
    line: str
    blocks: tuple[Block, ...]
    opened: bool = False
    tone: Tone = ""


class Decision(Node, frozen=True, kw_only=True, tag="decision"):
    """The first screen: a sentence over all, a row for each kind of work, and what people feel.

    `workers` says whether workers share the application's cores or have their own.
    """

    whole: str
    choices: tuple[Choice, ...]
    felt: str = ""
    workers: str = ""
    figure: Figure | None = None


SURE: dict[Sure, Tone] = {
    Sure.KNOWN: "good", Sure.SAME: "good", Sure.OPEN: "soft", Sure.UNSOUND: "bad",
}  # fmt: skip


def decision_blocks(found: Decision) -> Iterator[Text | Table]:
    """Yield a decision as paragraphs and a table, where it has no looks of its own."""
    if found.whole:
        yield Text(found.whole, "strong")
    yield table_of(
        "choices",
        "your requests | <use | <because | <it costs | <how sure",
        (
            row_of(
                each.work,
                Cell(each.answer, tone="strong"),
                each.because,
                each.costs,
                Cell("; ".join(filter(None, (each.sure, each.what_then))), tone=SURE[each.sure]),
            )
            for each in found.choices
        ),
    )
    yield from (Text(f"{each}.") for each in (found.felt, found.workers) if each)


class YourCase(Node, frozen=True, kw_only=True, tag="your case"):
    """The form that answers for the reader's own requests, and its answers as a table."""

    advising: Advising
    grid: Table


Block: TypeAlias = (
    Text | Bullets | Facts | Table | Data | Figure | Fold | Decision | YourCase
)  # fmt: skip


class Section(Node, frozen=True, kw_only=True, tag="section"):
    """A part of the page; `scenario` is its number where it is a scenario's, from 1."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    nav: str = ""
    scenario: int = 0


def folded(fold: Fold, nav: str, scenario: int = 0) -> Section:
    """Return the section that one fold makes up."""
    return Section(id=f"{fold.id}-section", title="", blocks=(fold,), nav=nav, scenario=scenario)


class Pair(Node, frozen=True, kw_only=True, tag="pair"):
    """The ratio of `other` to `base`: figure, bounds, and one of three answers."""

    base: str
    other: str
    ratio: float
    low: float | None
    high: float | None
    said: str


class Curve(Node, frozen=True, kw_only=True, tag="curve"):
    """Latency of a variant by offered load: each percentile a row of value, low and high, ms."""

    variant: str
    loads: tuple[float, ...]
    percentiles: dict[str, tuple[tuple[float | None, float | None, float | None], ...]]


class Compared(Node, frozen=True, kw_only=True, tag="compared"):
    """What a reader can compare anew in one scenario: any two variants, any percentile.

    Parameters
    ----------
    scenario, base : labels; the base is the one with the best pace, empty where none took turns.
    pairs : by figure.
    curves : by offered load.
    levels : by percentile and variant: its text and its interval's at the common load.
    objective_ms : for the p99.
    """

    scenario: str
    base: str
    pairs: dict[str, tuple[Pair, ...]] = {}
    curves: tuple[Curve, ...] = ()
    levels: dict[str, dict[str, tuple[str, str]]] = {}
    objective_ms: float = 0.0


class Document(Node, frozen=True, kw_only=True, tag="document"):
    """A whole page.

    Parameters
    ----------
    title, lead : its head.
    alerts : what a reader must know before all else.
    sections : its parts, in order.
    variants : labels, in the order of the plan: the colours of figures follow it.
    compared : by scenario, what can be compared anew.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
    alerts: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    compared: tuple[Compared, ...] = ()

    def walk(self) -> Iterator[Block]:
        """Yield every block, those inside of folds included."""
        for section in self.sections:
            yield from _walk(section.blocks)


def _walk(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from _walk(block.blocks)
        elif isinstance(block, Decision) and block.figure is not None:
            yield block.figure
        elif isinstance(block, YourCase):
            yield block.grid
        elif isinstance(block, Data):
            yield block.table
