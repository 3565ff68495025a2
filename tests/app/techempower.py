"""What TechEmpower's verifier holds a framework to, rewritten from its published checks.

Source: TechEmpower/FrameworkBenchmarks, ``toolset/test_types`` (verifications, db, query, update,
fortune) and ``toolset/databases``. It returns problems; none is a pass.
"""

from __future__ import annotations

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from http.client import HTTPConnection
from typing import Any, ClassVar

import psycopg

from tests.waiting import eventually

CLIENTS, QUERIES = 512, 20
READ_MARGIN, QUERY_MARGIN = 1.011, 1.015
"""Their tolerance for rows, and for queries on machines of two cores."""
DATE_S = 10.0
"""A date of whole seconds has changed after one."""
CASES = (("2", 2), ("0", 1), ("foo", 1), ("501", 500), ("", 1))
TYPES = {
    "json": r"application/json(; ?charset=(UTF|utf)-8)?",
    "html": r"text/html; ?charset=(UTF|utf)-8",
}
FORTUNES = """<!doctype html><html>
<head><title>Fortunes</title></head>
<body><table>
<tr><th>id</th><th>message</th></tr>
<tr><td>11</td><td>&lt;script&gt;alert(&quot;This should not be displayed in a browser alert box.&quot;);&lt;/script&gt;</td></tr>
<tr><td>4</td><td>A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1</td></tr>
<tr><td>5</td><td>A computer program does what you tell it to do, not what you want it to do.</td></tr>
<tr><td>2</td><td>A computer scientist is someone who fixes things that aren&apos;t broken.</td></tr>
<tr><td>8</td><td>A list is only as strong as its weakest link. — Donald Knuth</td></tr>
<tr><td>0</td><td>Additional fortune added at request time.</td></tr>
<tr><td>3</td><td>After enough decimal places, nobody gives a damn.</td></tr>
<tr><td>7</td><td>Any program that runs right is obsolete.</td></tr>
<tr><td>10</td><td>Computers make very fast, very accurate mistakes.</td></tr>
<tr><td>6</td><td>Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen</td></tr>
<tr><td>9</td><td>Feature: A bug with seniority.</td></tr>
<tr><td>1</td><td>fortune: No such file or directory</td></tr>
<tr><td>12</td><td>フレームワークのベンチマーク</td></tr>
</table></body></html>"""  # noqa: E501 - as they have it
STATEMENTS = (
    "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE dbid ="
    " (SELECT oid FROM pg_database WHERE datname = current_database()) AND query ~* '\\mworld\\M'"
)
ROWS = (
    "SELECT coalesce(sum(rows), 0) FROM pg_stat_statements WHERE dbid ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND query ~* '\\mworld\\M' AND query ~* '^\\s*{verb}'"
)


def ask(port: int, path: str) -> tuple[dict[str, str], bytes]:
    """Ask once; headers by their names in lower case."""
    connection = HTTPConnection("127.0.0.1", port, timeout=180)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status, answer.read())
        return {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def headers_problems(port: int, path: str, kind: str) -> list[str]:
    """Required headers, their form, and a date that is not kept."""
    headers, _ = ask(port, path)
    found = [f"no {name}" for name in ("server", "date", "content-type") if name not in headers]
    if not {"content-length", "transfer-encoding"} & set(headers):
        found.append("no size header")
    try:
        time.strptime(headers.get("date", ""), "%a, %d %b %Y %H:%M:%S %Z")
    except ValueError:
        found.append(f"date {headers.get('date')}")
    if not eventually(lambda: ask(port, path)[0].get("date") != headers.get("date"), DATE_S):
        found.append("the date is cached")
    return found + type_problems(headers, kind)


def type_problems(headers: dict[str, str], kind: str) -> list[str]:
    """The content type as they write it."""
    given = headers.get("content-type", "")
    return [] if re.fullmatch(TYPES[kind], given) else [f"content type {given}"]


def world_problems(row: Any) -> list[str]:
    """A row of `world`: two keys, whole numbers within bounds."""
    if not isinstance(row, dict) or set(row) != {"id", "randomNumber"}:
        return [f"not a row of world: {row}"]
    return [
        f"{name} is {n}" for name, n in row.items() if type(n) is not int or not 1 <= n <= 10_000
    ]


def db_problems(port: int) -> list[str]:
    """Test 2."""
    _, body = ask(port, "/db")
    return headers_problems(port, "/db", "json") + world_problems(json.loads(body))


def cases_problems(port: int, path: str) -> list[str]:
    """Tests 3 and 5: how many rows for which parameter, the missing one included."""
    found: list[str] = []
    for given, expected in (*CASES, (None, 1)):
        asked = path if given is None else f"{path}?queries={given}"
        _, body = ask(port, asked)
        rows = json.loads(body)
        if not isinstance(rows, list) or len(rows) != expected:
            found.append(f"{asked}: {len(rows)} rows, {expected} expected")
            continue
        found += [problem for row in rows for problem in world_problems(row)]
    headers, _ = ask(port, f"{path}?queries=2")
    return found + type_problems(headers, "json")


def world_table(url: str) -> dict[int, int]:
    """The whole table."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT id, randomnumber FROM world").fetchall())


def updates_problems(port: int, url: str) -> list[str]:
    """Whether 500 updates arrive in the database."""
    before = world_table(url)
    ask(port, "/updates?queries=500")
    after = world_table(url)
    changed = sum(before[key] != after[key] for key in before)
    return [] if changed > 500 * 0.95 else [f"only {changed} rows changed of 500"]


def counts(url: str) -> tuple[int, int, int]:
    """Statements on `world`, rows read and rows updated, as PostgreSQL counts them."""
    with psycopg.connect(url) as connection:
        asked = (STATEMENTS, ROWS.format(verb="select"), ROWS.format(verb="update"))
        values = [connection.execute(each).fetchone() for each in asked]
    return tuple(int(each[0]) for each in values if each)  # type: ignore[return-value]


def count_problems(port: int, url: str, path: str, *, updates: bool) -> list[str]:
    """512 clients at once: as many queries and rows in the database as were asked for."""
    before = counts(url)
    barrier = threading.Barrier(CLIENTS)

    def client(_: int) -> int:
        barrier.wait()
        return len(json.loads(ask(port, f"{path}?queries={QUERIES}")[1]))

    with ThreadPoolExecutor(CLIENTS) as clients:
        lengths = set(clients.map(client, range(CLIENTS)))
    after = counts(url)
    queries, read, updated = (b - a for a, b in zip(before, after, strict=True))
    expected = CLIENTS * QUERIES
    found = [] if lengths == {QUERIES} else [f"answers of {lengths} rows"]
    found += verdict("queries", queries * QUERY_MARGIN, expected * (2 if updates else 1))
    found += verdict("rows read", read * READ_MARGIN, expected)
    if updates:
        found += verdict("rows updated", updated * READ_MARGIN, expected)
    return found


def verdict(what: str, seen: float, expected: int) -> list[str]:
    """Too few fail, and more than 5 % too many are a warning, which is a problem here."""
    if expected <= seen <= expected * 1.05:
        return []
    return [f"{seen:.0f} {what}, {expected} expected"]


class FortunesParser(HTMLParser):
    """Brings a page into the form in which theirs compares it."""

    REFERENCES: ClassVar = {
        **dict.fromkeys(("34", "034", "x22"), "&quot;"),
        **dict.fromkeys(("39", "039", "x27"), "&apos;"),
        **dict.fromkeys(("43", "043", "x2b"), "+"),
        **dict.fromkeys(("62", "062", "x3e"), "&gt;"),
        **dict.fromkeys(("60", "060", "x3c"), "&lt;"),
        **dict.fromkeys(("47", "047", "x2f"), "/"),
    }

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.body: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.body.append(f"<!{decl.lower()}>")

    def handle_charref(self, name: str) -> None:
        self.body.append(self.REFERENCES.get(name.lower(), f"&#{name};"))

    def handle_entityref(self, name: str) -> None:
        self.body.append("—" if name == "mdash" else f"&{name};")

    def handle_starttag(self, tag: str, _attrs: Any) -> None:
        if tag not in {"meta", "link", "script", "thead", "tbody"}:
            self.body.append(f"<{tag}>" + ("\n" if tag in {"table", "html"} else ""))

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"meta", "link", "script", "thead", "tbody"}:
            self.body.append(f"</{tag}>" + ("\n" if tag in {"tr", "head"} else ""))

    def handle_data(self, data: str) -> None:
        if data.strip():
            for char, name in (("'", "&apos;"), ('"', "&quot;"), (">", "&gt;")):
                data = data.replace(char, name)
            self.body.append(data)


def fortunes_problems(port: int) -> list[str]:
    """Test 4: the exact table."""
    _, body = ask(port, "/fortunes")
    parser = FortunesParser()
    parser.feed(body.decode())
    found = headers_problems(port, "/fortunes", "html")
    return found if "".join(parser.body) == FORTUNES else [*found, "".join(parser.body)]
