"""A walk as a document: a sentence for each strategy and scenario, and a table of its releases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asyncdb_bench.analysis.inference import PACE, Said
from asyncdb_bench.analysis.verdict import ratio_words
from asyncdb_bench.extensions.versions.evidence import SHOWN, Line
from asyncdb_bench.extensions.versions.releases import LEFT_OUT
from asyncdb_bench.extensions.versions.walk import Between
from asyncdb_bench.extensions.versions.walking import Walked
from asyncdb_bench.records.files import write_text
from asyncdb_bench.report.document import (
    Block,
    Bullets,
    Cell,
    Document,
    Row,
    Section,
    Text,
    row_of,
    table_of,
)
from asyncdb_bench.report.quantities import ratio_cell
from asyncdb_bench.report.renderers import render_html, render_markdown
from asyncdb_bench.report.sides_page import TONES

HOW = (
    "All releases of a run have their turns in the same rounds. Neighbours that are the same within"
    " 5 % have nothing between them that is looked at; a change counts where a second run agrees."
    f" From the index as uv is set up for it: {LEFT_OUT}."
)
COLUMNS = "release | pace | p99 | loop freeze | CPU a request | <beside the one before"


def sentence(line: Line, releases: list[str]) -> str:
    """Say where something changed: ``the same from 0.27 to 0.30; 0.31 does 1.08 x (…)``."""
    walk = line.walk
    if not walk.measured:
        return "no release could be measured"
    parts: list[str] = []
    first = last = min(walk.measured)
    for older, newer in walk.neighbours():
        between, answer = walk.between(older, newer), line.answer(PACE, older, newer)
        if between is not Between.NOTHING:
            parts += _stretch(line, releases, first, last)
            first = newer
            ratio = ratio_words(answer.ratio) if answer.ratio else "no ratio"
            if between is Between.OPEN:
                parts.append(f"not known between {releases[older]} and {releases[newer]}: {ratio}")
            elif any(place not in walk.out for place in range(older + 1, newer)):
                parts.append(f"somewhere from {releases[older]} to {releases[newer]} {ratio}")
            else:
                parts.append(f"{releases[newer]} does {ratio} of what {releases[older]} does")
        last = newer
    parts += _stretch(line, releases, first, last)
    return "; ".join(parts)


def _stretch(line: Line, releases: list[str], first: int, last: int) -> Iterator[str]:
    """Say that some releases are the same, each as the next, and what they add up to."""
    if first == last:
        return
    answer = line.answer(PACE, first, last)
    if answer.said in (Said.BETTER, Said.WORSE) and answer.ratio is not None:
        together = f", little by little {ratio_words(answer.ratio)}"
    else:
        together = ""
    yield f"the same from {releases[first]} to {releases[last]}{together}"


def walk_document(walked: Walked) -> Document:
    """Return the document of a walk."""
    kept = walked.kept
    sections = []
    for number, line in enumerate(walked.lines, start=1):
        told = Text(f"{kept.package}: {sentence(line, kept.releases)}.", "strong")
        rows = (_row(line, kept.releases, place) for place in sorted(line.walk.measured))
        note = ""
        if line.walk.measured:
            note = f"Each figure beside {kept.releases[line.walk.newest]}, with its 95 % interval."
        blocks: list[Block] = [told, table_of(f"table-{number}", COLUMNS, rows, note=note)]
        if line.reasons:
            reasons = (
                f"{kept.releases[place]}: not run, because {why}"
                for place, why in sorted(line.reasons.items())
            )
            blocks.append(Bullets(tuple(reasons)))
        title = f"{line.strategy} · {line.scenario}"
        sections.append(Section(id=f"line-{number}", title=title, blocks=tuple(blocks)))
    how = (Text(HOW), Bullets(tuple(f"run {each}" for each in kept.runs)))
    sections.append(Section(id="how", title="How it was measured", blocks=how))
    return Document(
        title=f"Which release of {kept.package} changed the answer?",
        lead=f"{kept.releases[0]} to {kept.releases[-1]}, measured beside one another",
        sections=tuple(sections),
    )


def _row(line: Line, releases: list[str], place: int) -> Row:
    walk = line.walk
    if place == walk.newest:
        figures = [Cell("1")] * len(SHOWN)
    else:
        figures = [ratio_cell(line.answer(metric, walk.newest, place)) for metric in SHOWN]
    before = [each for each in walk.measured if each < place]
    said = Cell("–")
    if before:
        answer = line.answer(PACE, max(before), place)
        said = Cell(ratio_cell(answer).text, str(walk.between(max(before), place)))
        said = Cell(said.text, said.note, TONES.get(answer.said, ""))
    return row_of(releases[place], *figures, said)


def as_data(walked: Walked) -> dict[str, Any]:
    """Return a walk for machines: by strategy and scenario, each release beside the newest."""
    return {
        "package": walked.kept.package,
        "releases": walked.kept.releases,
        "runs": walked.kept.runs,
        "lines": [_line_data(line, walked.kept.releases) for line in walked.lines],
    }


def _line_data(line: Line, releases: list[str]) -> dict[str, Any]:
    walk = line.walk
    return {
        "strategy": line.strategy,
        "scenario": line.scenario,
        "sentence": sentence(line, releases),
        "not_run": {releases[place]: why for place, why in sorted(line.reasons.items())},
        "beside_newest": [
            {
                "release": releases[place],
                **{m.name: _ratio(line, m, walk.newest, place) for m in SHOWN},
            }
            for place in sorted(walk.measured)
            if place != walk.newest
        ],
        "neighbours": [
            {
                "older": releases[older],
                "newer": releases[newer],
                "between": str(walk.between(older, newer)),
                "pace_rps": _ratio(line, PACE, older, newer),
            }
            for older, newer in walk.neighbours()
        ],
    }


def _ratio(line: Line, metric: Any, older: int, newer: int) -> dict[str, Any] | None:
    answer = line.answer(metric, older, newer)
    if answer.ratio is None:
        return None
    low, high = answer.ratio.bounds or (None, None)
    ratio = answer.ratio.ratio
    return {"ratio": ratio, "low": low, "high": high, "said": str(answer.said)}


def write_walk(walked: Walked, reports: Path) -> Path:
    """Write the page of a walk, its Markdown and its JSON; return where the page is.

    Raises
    ------
    StoreError : not writable.
    """
    page = reports / walked.name / "index.html"
    document = walk_document(walked)
    write_text(page, render_html(document, {}))
    write_text(page.with_name("versions.md"), render_markdown(document))
    write_text(page.with_name("versions.json"), json.dumps(as_data(walked), indent=1) + "\n")
    return page
