"""A document -> one self-contained HTML page. Escapes everything, asks for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from asyncdb_bench.analysis.decision import Sure
from asyncdb_bench.report.axes import Drawing, svg_markup
from asyncdb_bench.report.document import Document, Figure, YourCase
from asyncdb_bench.text import PROGRAM, counted, number, visible

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
