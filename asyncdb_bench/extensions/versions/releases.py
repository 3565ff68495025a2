"""A package's releases, from the index that uv is set up for.

uv is asked for the newest below the one before, again and again: so what it would not install is
left out by its own rules (yanked, pre-releases, other versions of Python), and indexes, credentials
and files of its own configuration hold here, too.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.environments import PINNED, NotMadeError, run_uv

if TYPE_CHECKING:
    from packaging.version import Version

LEFT_OUT = "yanked releases, pre-releases and those for other versions of Python are left out"
MOST = 60
"""Releases of a walk."""
NO_MORE = re.compile(r"unsatisfiable|no versions? of|was not found|only .* available")


@dataclass(frozen=True, slots=True)
class Range:
    """Which releases to walk through.

    Parameters
    ----------
    last : so many, the newest included; 0: all.
    first, final : the oldest and the newest; ``0.30`` stands for the newest of 0.30, too; empty:
        not bounded.
    minor : the newest of each minor release alone.
    since : a date, ``2024-01-31``: what was released later; empty: not bounded.
    """

    last: int = 0
    first: str = ""
    final: str = ""
    minor: bool = False
    since: str = ""


def releases(package: str, wanted: Range) -> list[str]:
    """Return a package's releases, the oldest first.

    Parameters
    ----------
    package : its name, with extras perhaps.
    wanted : which.

    Raises
    ------
    UsageError : the index has none of them, or a bound is no version.
    NotMadeError : the index cannot be read.
    """
    found = list(_newest_first(package, wanted))
    if not found:
        raise UsageError(f"the index has no release of {package} in what was asked for")
    return found[::-1]


def _newest_first(package: str, wanted: Range) -> Iterator[str]:
    oldest = _version(wanted.first) if wanted.first else None
    floor = newest_of(package, "", until=wanted.since) if wanted.since else ""
    before = _version(floor) if floor else None
    release = _first_of(package, wanted.final)
    for _ in range(wanted.last or MOST):
        if not release:
            return
        version = _version(release)
        # 0.30.0 is not below 0.30
        if (oldest is not None and version < oldest) or (before is not None and version <= before):
            return
        yield release
        below = f"{version.major}.{version.minor}" if wanted.minor else release
        release = newest_of(package, f"<{below}")


def _first_of(package: str, final: str) -> str:
    """Return the newest release of a walk; empty: there is none."""
    if not final:
        return newest_of(package, "")
    _version(final)
    return newest_of(package, f"=={final}.*") or newest_of(package, f"<={final}")


def _version(text: str) -> Version:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion as error:
        raise UsageError(f"{text!r} is no version; write 0.30 or 2.0.44") from error


def newest_of(package: str, bound: str, until: str = "") -> str:
    """Return the newest release within a bound; empty: there is none.

    Parameters
    ----------
    package : its name, with extras perhaps.
    bound : ``<0.30``; empty: none.
    until : a date; what was released later is not there.

    Raises
    ------
    NotMadeError : the index cannot be read.
    """
    from packaging.utils import canonicalize_name

    name = package.partition("[")[0]
    with tempfile.TemporaryDirectory(prefix="asyncdb-bench-uv-") as scratch:
        asked = Path(scratch, "asked.in")
        asked.write_text(f"{name}{bound}\n")
        when = ("--exclude-newer", until) if until else ()
        plain = ("--no-deps", "--no-header", "--no-annotate", "--python", sys.executable)
        try:
            said = run_uv("pip", "compile", str(asked), *plain, *when)
        except NotMadeError as error:
            if (bound or until) and NO_MORE.search(str(error)):
                return ""
            raise
    for found, version in PINNED.findall(said):
        if canonicalize_name(found) == canonicalize_name(name):
            return str(version)
    return ""
