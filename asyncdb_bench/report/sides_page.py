"""Sides compared -> a document with a table for each scenario, and the page made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from asyncdb_bench.analysis.inference import Said
from asyncdb_bench.analysis.verdict import percent
from asyncdb_bench.records.files import write_text
from asyncdb_bench.report.axes import Drawing
from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Cell,
    Document,
    Figure,
    Fold,
    Row,
    Section,
    Table,
    Text,
    Tone,
    columns_of,
    row_of,
    table_of,
)
from asyncdb_bench.report.figures.ratios import ForestRow, forest_figure
from asyncdb_bench.report.quantities import said_text
from asyncdb_bench.report.renderers import render_html
from asyncdb_bench.report.sides import Compared, Contrast
from asyncdb_bench.text import counted, number

SAME = 0.05
"""Of the band in a figure: within it two are the same."""
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
COLUMNS = columns_of("figure | base | head | ratio, 95 % interval | launches, rounds | <said")
TONES: dict[Said, Tone] = {
    Said.BETTER: "good", Said.WORSE: "bad", Said.UNSOUND: "bad", Said.UNKNOWN: "soft",
}  # fmt: skip
KNOWN = {"good", "bad"}
"""Tones of what a page shows at first; the others lie behind a line that counts them."""


def comparison_document(contrasts: Sequence[Contrast]) -> Document:
    """Return the document of a base with one head or more."""
    base, heads = contrasts[0].base, ", ".join(each.head for each in contrasts)
    paired = contrasts[0].paired
    lead = "Measured in the same rounds." if paired else "Runs of their own, before and after."
    sections: list[Section] = []
    for place, contrast in enumerate(contrasts, start=1):
        sections += _sections(contrast, str(place), several=len(contrasts) > 1)
    return Document(
        title=f"{heads} against {base}",
        lead=f"{lead} A ratio is head to base.",
        sections=tuple(sections),
        alerts=tuple(dict.fromkeys(w for each in contrasts for w in each.invalidating)),
    )


def _sections(contrast: Contrast, own: str, *, several: bool) -> Iterator[Section]:
    title = f"{contrast.head} against {contrast.base}" if several else ""
    said = [row.answer.said for rows in contrast.compared.values() for row in rows]
    changed = sum(each in (Said.BETTER, Said.WORSE) for each in said)
    first: list[Block] = [
        Text(f"{counted(changed, 'figure')} known to have changed.")
        if changed
        else Text("Nothing is known to have changed.", tone="soft")
    ]
    if contrast.warnings:
        first += [Text("What else differs between them:"), Bullets(tuple(contrast.warnings))]
    yield Section(id=f"differs-{own}", title=title, blocks=tuple(first))
    for number_, (scenario, rows) in enumerate(contrast.compared.items(), start=1):
        shown = (_row(each, named=not contrast.paired) for each in rows)
        table = table_of(f"table-{own}-{number_}", COLUMNS, shown)
        heading = f"{scenario}: {title}" if several else scenario
        yield Section(id=f"scenario-{own}-{number_}", title=heading, blocks=(table,))
    if contrast.left_out:
        left = Bullets(tuple(contrast.left_out))
        yield Section(id=f"left-out-{own}", title="Left out", blocks=(left,))


def _row(row: Compared, *, named: bool) -> Row:
    """Return a row; of two runs it names the variant, of one the title does."""
    metric, ratio = row.answer.metric, row.answer.ratio
    one, other = row.answer.one, row.answer.other
    who = (f"{other}: " if one == other else f"{other} against {one}: ") if named else ""
    bounds = ratio.bounds if ratio is not None else None
    return row_of(
        Cell(f"{who}{metric.title}, {metric.unit}", at_load(row.offered_rps)),
        row.base_value,
        row.head_value,
        Cell(
            number(ratio.ratio if ratio is not None else None),
            f"{number(bounds[0])} to {number(bounds[1])}" if bounds else "",
        ),
        f"{ratio.launches}, {ratio.rounds}" if ratio is not None else None,
        Cell(compared_words(row), tone=TONES.get(row.answer.said, "")),
    )


def at_load(offered_rps: float | None) -> str:
    """Say at which load a figure was taken, 1/s; nothing where it is of none."""
    return f"at {number(offered_rps)}/s" if offered_rps else ""


def compared_words(row: Compared) -> str:
    """Return what is said of a figure with what it takes to understand it."""
    ratio = row.answer.ratio
    if ratio is None:
        return "not known: not measured in both at one load"
    if ratio.bounds is None:
        return "not known: too few rounds for an interval"
    if row.answer.said is Said.UNKNOWN and ratio.smallest is not None:
        return f"not known: nothing below {percent(ratio.smallest - 1)} could have been seen"
    return said_text(row.answer)


def write_comparison(contrasts: Sequence[Contrast], reports: Path) -> Path:
    """Write the page of a comparison and return where it is.

    Parameters
    ----------
    contrasts : of one base with one head or more.
    reports : the folder of reports.

    Raises
    ------
    StoreError : not writable.
    """
    heads = "-".join(each.head for each in contrasts)
    name = re.sub(r"[^A-Za-z0-9._=-]+", "_", f"compare-{contrasts[0].base}-{heads}")[:150]
    path = reports / name / "index.html"
    drawings = {
        f"table-{place}-{number_}": forest_figure(_lines(rows), f"{scenario}-{place}", 1 + SAME)
        for place, each in enumerate(contrasts, start=1)
        for number_, (scenario, rows) in enumerate(each.compared.items(), start=1)
    }
    guide = Fold(id="reading", title="How to read this", line="", blocks=(Text(COMPARING),))
    write_text(path, render_page(comparison_document(contrasts), drawings, RATIOS, guide))
    return path


def _lines(rows: Sequence[Compared]) -> list[ForestRow]:
    several = len({each.answer.other for each in rows}) > 1
    lines = []
    for each in (row.answer for row in rows):
        if each.ratio is None:
            continue
        worse = each.ratio.inverse if each.metric.more_is_better else each.ratio
        low, high = worse.bounds or (worse.ratio, worse.ratio)
        label = f"{each.other} · " * several + each.metric.title
        lines.append(ForestRow(label, low, worse.ratio, high, each.said))
    return lines


def render_page(
    document: Document, drawings: Mapping[str, Drawing | None], caption: str, guide: Fold
) -> str:
    """Return a document of tables as one HTML page, its figures beside them.

    Parameters
    ----------
    document : the last cell of a table's row says what became of it, and in which tone.
    drawings : by table's id; None: there is nothing to draw.
    caption : of every drawing.
    guide : how to read it; the page ends with it.
    """
    made = {name: each for name, each in drawings.items() if each is not None}
    sections = [
        replace(
            section,
            blocks=tuple(b for block in section.blocks for b in _layers(block, made, caption)),
        )
        for section in document.sections
    ]
    sections.append(Section(id="reading-section", title="", blocks=(guide,)))
    return render_html(replace(document, sections=tuple(sections)), {"": made})


def _layers(block: Block, drawings: Mapping[str, Drawing], caption: str) -> Iterator[Block]:
    """Yield a table's rows of which something is known, its figure, and a fold of the others."""
    if not isinstance(block, Table):
        yield block
        return
    known = tuple(row for row in block.rows if row.cells[-1].tone in KNOWN)
    others = tuple(row for row in block.rows if row.cells[-1].tone not in KNOWN)
    if known:
        yield replace(block, rows=known)
    if block.id in drawings:
        own, alt = f"{block.id}-figure", drawings[block.id].alt
        yield Figure(id=own, scenario="", name=block.id, caption=caption, alt=alt)
    if others:
        title = f"{counted(len(others), 'other')}: the same or not known"
        inside = (replace(block, id=f"{block.id}-others", rows=others),)
        yield Fold(id=f"{block.id}-rest", title=title, line="", blocks=inside)
