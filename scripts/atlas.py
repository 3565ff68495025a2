"""Measure docs/versions.md: walks through the releases of the packages that ways use.

``python scripts/atlas.py FOLDER [NAME…]``. Each walk is gone on with where it was interrupted, and
one that is complete costs nothing: FOLDER keeps what was measured. It takes hours; the page is
written anew after each walk, between its two marks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncdb_bench.processes.host import describe_machine

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "versions.md"
BEGIN, END = "<!-- atlas: begin -->", "<!-- atlas: end -->"
SINCE = ("--minor", "--since", "2023-12-01")
WALKS: dict[str, tuple[str, ...]] = {
    "psycopg-binary": ("psycopg", "--strategy", "psycopg_async", "--scenario", "read,page", *SINCE),
    "psycopg-c": ("psycopg[c]", "--strategy", "psycopg_async", "--scenario", "read", *SINCE),
    "psycopg-python": ("psycopg[]", "--strategy", "psycopg_async", "--scenario", "read", *SINCE),
    "asyncpg": ("asyncpg", "--strategy", "native,asyncpg_raw", "--scenario", "read,page", *SINCE),
    "sqlalchemy": (
        *("sqlalchemy", "--strategy", "native,executor", "--scenario", "read,page,slow", *SINCE),
    ),
    "tornado": ("tornado", "--strategy", "native", "--scenario", "read", *SINCE),
    "uvloop": ("uvloop", "--strategy", "native:uvloop=true", "--scenario", "read,slow", *SINCE),
    "celery": ("celery", "--strategy", "celery", "--scenario", "read", *SINCE),
    "aio-pika": ("aio-pika", "--strategy", "celery_aio", "--scenario", "read", *SINCE),
}
FIGURES = ("pace_rps", "p99_ms", "loop_lag_p99_ms", "cpu_ms_per_request")


def main(folder: Path, names: list[str]) -> None:
    """Have the walks, one after another, and write the page after each."""
    for name in names or WALKS:
        command = [sys.executable, "bench.py", "versions", *WALKS[name]]
        places = ("--results", str(folder / "results"), "--reports", str(folder / "reports" / name))
        code = subprocess.run([*command, *places], cwd=ROOT, check=False).returncode
        if code not in {0, 4}:
            print(f"{name}: ended with {code}", file=sys.stderr)
            if code == 130:
                raise SystemExit(code)
        write_page(folder)


def write_page(folder: Path) -> None:
    """Put the tables of all walks that there are between the page's marks."""
    here = describe_machine()
    lines = [
        f"Written {datetime.now(UTC):%Y-%m-%d} on {here['cpu']}, {here['usable_cores']} cores,"
        f" {here['kernel']}, Python {sys.version.split()[0]}, by `make atlas`."
    ]
    for name, walk in WALKS.items():
        for found in sorted((folder / "reports" / name).glob("versions-*/versions.json")):
            lines += ["", f"**{name}**, `bench.py versions {' '.join(walk)}`", ""]
            lines += table_of(json.loads(found.read_text()))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")


def table_of(walk: dict[str, Any]) -> list[str]:
    """Return a walk's rows: each release beside the newest that runs."""
    rows = [
        "| way, work | release | pace | p99 | loop freeze | CPU a request |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for line in walk["lines"]:
        way = f"{line['strategy']}, {line['scenario']}"
        rows.append(f"| {way} | {cell(line['sentence'])} | | | | |")
        for each in line["beside_newest"]:
            figures = " | ".join(ratio_text(each[name]) for name in FIGURES)
            rows.append(f"| | {each['release']} | {figures} |")
        for release, why in line["not_run"].items():
            rows.append(f"| | {release} | not run, because {cell(why)[:160]} | | | |")
    return rows


def cell(text: str) -> str:
    """Return a text as a cell of a table, without the paths of this machine."""
    return " ".join(word for word in text.replace("|", "\\|").split() if not word.startswith("(/"))


def ratio_text(found: dict[str, Any] | None) -> str:
    """Return a ratio with its interval."""
    if found is None:
        return "–"
    if found["low"] is None:
        return f"{found['ratio']:.2f} x"
    return f"{found['ratio']:.2f} x ({found['low']:.2f} to {found['high']:.2f})"


if __name__ == "__main__":
    if len(sys.argv) < 2 or set(sys.argv[2:]) - WALKS.keys():
        raise SystemExit(f"usage: {sys.argv[0]} FOLDER [{' | '.join(WALKS)}]")
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
