"""`fortunes`: a table of rows, sorted and escaped, as HTML at `/fortunes`."""

from __future__ import annotations

from html import escape
from typing import Any

from asyncdb_bench import OwnScenario, Reply, Route, ScenarioKnobs, Steps, operation, sql
from asyncdb_bench.contract.data.ready_tables import MESSAGES, TABLES

ADDED = "Additional fortune added at request time."
HEAD = (
    "<!DOCTYPE html><html><head><title>Fortunes</title></head><body>"
    "<table><tr><th>id</th><th>message</th></tr>"
)


def page(rows: Any) -> Reply:
    """Return the rows as the table of a page."""
    lines = (f"<tr><td>{number}</td><td>{escape(message)}</td></tr>" for number, message in rows)
    return Reply(HEAD + "".join(lines) + "</table></body></html>")


def right(_: Any, html: str) -> bool:
    """Return whether all rows and the added one are there, and nothing stands unescaped."""
    return html.count("<tr>") == len(MESSAGES) + 2 and ADDED in html and "<script>" not in html


@operation(
    check=right, rows=len(MESSAGES), reads=True, route=Route("GET", "/fortunes", render=page)
)
def fortunes() -> Steps:
    """Read all rows, add one, sort them by their message."""
    rows = [(row.id, row.message) for row in (yield sql("SELECT id, message FROM fortune"))]
    return sorted([*rows, (0, ADDED)], key=lambda row: row[1])


class Fortunes(OwnScenario[ScenarioKnobs]):
    """A query, some Python, a page."""

    name = "fortunes"
    summary = "TechEmpower's fortunes: twelve rows and one more, sorted, as an escaped table"
    tables = TABLES
    asks_for = {fortunes: 1}
    loads = (50, 100, 200, 400, 600, 800, 1000, 1250, 1500, 2000)
