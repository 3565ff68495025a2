"""What stands behind the ``@`` of ``native@asyncpg==0.29.0+uvloop==0.19.0``: versions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from asyncdb_bench.errors import UsageError

INTERPRETER = re.compile(r"python(3(?:\.\d+)*t?)")
BETWEEN = re.compile(r"\+(?=[A-Za-z][\w.-]*(?:\[[^\]]*\])?\s*[=<>!~]|[A-Za-z][\w.-]*\[|python3)")
"""The ``+`` before a further one, and not that of a local version (``1.0+cu118``)."""
BOUNDED = re.compile(r"[=<>!~\[]")


@dataclass(frozen=True, slots=True)
class Named:
    """One requirement.

    Parameters
    ----------
    name : of the package, in the one form that indexes know.
    text : as uv reads it.
    extras : whether it says itself which extras it has, none perhaps (``psycopg[]``).
    """

    name: str
    text: str
    extras: bool


@dataclass(frozen=True, slots=True)
class NamedVersions:
    """An environment by what is different in it.

    Parameters
    ----------
    requirements : at most one of each package.
    python : version of the interpreter; empty: that of this process.
    """

    requirements: tuple[Named, ...]
    python: str = ""


def is_named(at: str) -> bool:
    """Return whether what stands behind the ``@`` names versions: else it is a path."""
    if "/" in at or at.startswith((".", "~")):
        return False
    return bool(BOUNDED.search(at) or INTERPRETER.fullmatch(at))


def parse_versions(at: str) -> NamedVersions:
    """Parse ``asyncpg==0.29.0+uvloop==0.19.0``, ``psycopg[c]==3.2.*``, ``python3.13``.

    Raises
    ------
    UsageError : a part is none of these, or names a package for the second time.
    """
    found: dict[str, Named] = {}
    python = ""
    for part in BETWEEN.split(at):
        if interpreter := INTERPRETER.fullmatch(part.strip()):
            if python:
                raise UsageError(f"@{at} names two interpreters")
            python = interpreter[1]
            continue
        named = _parse_one(part.strip(), at)
        if named.name in found:
            raise UsageError(f"@{at} names {named.name} twice")
        found[named.name] = named
    return NamedVersions(tuple(found.values()), python)


def _parse_one(part: str, at: str) -> Named:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    example = "write NAME==VERSION, NAME[EXTRA]==VERSION or python3.13, with + between several"
    try:
        read = Requirement(part)
    except InvalidRequirement as error:
        raise UsageError(f"@{at}: {part!r} names no version; {example}") from error
    if read.url or read.marker or not (read.specifier or "[" in part):
        raise UsageError(f"@{at}: {part!r} names no version; {example}")
    extras = f"[{','.join(sorted(read.extras))}]" if read.extras else ""
    text = f"{read.name}{extras}{read.specifier}"
    return Named(canonicalize_name(read.name), text, "[" in part)


def roots(own: Iterable[str], named: NamedVersions) -> list[str]:
    """Return the requirements of an environment: our own without bounds, and those that are named.

    Our own bounds say what is tested together; what is named is to be measured all the same. The
    bounds of other packages hold.

    Parameters
    ----------
    own : requirements of this project.
    named : whose extras stand in place of ours where it has any.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    instead = {each.name for each in named.requirements if each.extras}
    found = []
    for text in own:
        read = Requirement(text)
        if canonicalize_name(read.name) not in instead:
            extras = f"[{','.join(sorted(read.extras))}]" if read.extras else ""
            marker = f" ; {read.marker}" if read.marker else ""
            found.append(f"{read.name}{extras}{marker}")
    return found + [each.text for each in named.requirements]
