"""Write docs/licences.md: the licence of every package in requirements.lock, by its own metadata.

``python scripts/licences.py`` writes it, ``python scripts/licences.py --check`` says whether it is
what would be written.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageMetadata, PackageNotFoundError, distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "licences.md"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
HEAD = """# Licences

Of every package in `requirements.lock` and `requirements-apart.lock`, as its own metadata states it
(`python scripts/licences.py` writes this page). The embedded PostgreSQL and Valkey are programs
inside two of them. RabbitMQ, Chromium and wrk are used where they are installed and are not part of
this.

| package | version | licence |
| --- | --- | --- |
"""


def _metadata(name: str) -> PackageMetadata:
    """Return a package's metadata, of this environment or the one that is apart."""
    apart = next(Path(sys.prefix).glob("queues/lib/*/site-packages"), None)
    for found in distributions(name=name, path=[*sys.path, *([str(apart)] if apart else [])]):
        return found.metadata
    raise PackageNotFoundError(name)


def licence(name: str) -> str:
    """Return a package's licence: its expression, else its classifiers, else its first line."""
    try:
        found = _metadata(name)
    except PackageNotFoundError:
        return "not installed on this system"
    if expression := found.get("License-Expression"):
        return str(expression)
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in found.get_all("Classifier") or []
        if each.startswith("License :: ")
    ]
    stated = (found.get("License") or "").strip().splitlines()
    return ", ".join(classifiers) or (stated[0][:80] if stated else "not stated")


def page() -> str:
    """Return the page."""
    locks = ("requirements.lock", "requirements-apart.lock")
    pinned = sorted({each for lock in locks for each in PINNED.findall((ROOT / lock).read_text())})
    rows = [f"| {name} | {version} | {licence(name)} |" for name, version in pinned]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        raise SystemExit(TARGET.read_text() != page())
    TARGET.write_text(page())
