"""What a deployment installs: the closure of its packages' requirements, counted and weighed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class Weight(NamedTuple):
    """How many packages, and their files' size in MB; None: some is not installed here."""

    packages: int
    megabytes: float | None


def closure(roots: Iterable[str]) -> set[str]:
    """Return the names of all packages that these need in this environment, themselves included.

    Parameters
    ----------
    roots : requirements as pip reads them, e.g. ``"sqlalchemy[asyncio]"``.
    """
    found: set[tuple[str, str]] = set()
    todo = [Requirement(root) for root in roots]
    while todo:
        wanted = todo.pop()
        name = str(canonicalize_name(wanted.name))
        for extra in ("", *wanted.extras):
            if (name, extra) in found:
                continue
            found.add((name, extra))
            todo += [each for each in _required(name) if _applies(each, extra)]
    return {name for name, _ in found}


def _required(name: str) -> list[Requirement]:
    try:
        return [Requirement(each) for each in distribution(name).requires or []]
    except PackageNotFoundError:
        return []


def _applies(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    if marker is None:
        return not extra
    return marker.evaluate({"extra": extra})


def weigh(roots: Iterable[str]) -> Weight:
    """Return how many packages these roots bring, and how large they are."""
    names = closure(roots)
    try:
        size = sum(_size(distribution(name)) for name in names)
    except PackageNotFoundError:
        return Weight(len(names), None)
    return Weight(len(names), size / 1e6)


def _size(found: Distribution) -> int:
    paths = (found.locate_file(each) for each in found.files or [])
    return sum(path.stat().st_size for path in map(_path, paths) if path.is_file())


def _path(located: object) -> Path:
    return Path(str(located))
