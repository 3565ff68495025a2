"""A document -> JSON, and back: what other programs read, and what a test holds a page against."""

from __future__ import annotations

import msgspec

from asyncdb_bench.report.document import Document


def render_json(document: Document) -> str:
    """Return a document as JSON; figures without their drawings."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def read_json(text: str) -> Document:
    """Return the document that a JSON text holds.

    Raises
    ------
    msgspec.ValidationError : it holds none.
    """
    return msgspec.json.decode(text, type=Document)
