"""Named versions -> an environment with them, made by uv: all else as it is installed here.

uv resolves with the installed versions as preferences, so that only what is named and what it then
needs is another. All of it is done while a run is planned: nothing is fetched while it measures.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

from asyncdb_bench.errors import UsageError, hide, masked
from asyncdb_bench.plan.environment_cache import EnvironmentCache, Kept, Note, seal
from asyncdb_bench.plan.named_versions import NamedVersions, parse_versions, roots
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.text import listed

RESOLVE_S, INSTALL_S = 300.0, 1800.0
"""How long uv may take; an sdist has to be compiled."""
OURS = {"asyncdb-bench", "asyncdb-bench-attach"}
"""Imported from where they are: a variant of other versions runs the same code of ours."""
PACKAGES = ("asyncdb_bench", "asyncdb_bench_attach")
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
LONGEST = 500
"""Characters of what uv says."""


class NotMadeError(UsageError):
    """An environment cannot be made; the text is the reason, and the run goes on without it."""


def environment_of(at: str, cache: EnvironmentCache) -> Kept:
    """Return the environment that is named, made where the cache does not have it.

    Parameters
    ----------
    at : what stands behind the ``@``.
    cache : where it is kept.

    Raises
    ------
    UsageError : it names no versions.
    NotMadeError : uv cannot make it.
    StoreError : the cache cannot be written.
    """
    named = parse_versions(at)
    here = installed()
    wanted = roots(own_requirements(), named)
    key = _key(wanted, named.python, here)
    return cache.lend(key, lambda folder: _make(folder, at, named, wanted, here))


def code_of(kept: Kept) -> Path:
    """Return from where an environment imports our own code: the checkout.

    Where we are installed that is a folder of links, or else all that is installed here would come
    first.
    """
    links = kept.folder / "ours"
    return links if links.is_dir() else CHECKOUT


def installed() -> dict[str, str]:
    """Return the distributions of this environment with their versions, but for ours."""
    from packaging.utils import canonicalize_name

    found = {canonicalize_name(each.name): each.version for each in distributions() if each.name}
    return {name: found[name] for name in sorted(found) if name not in OURS}


def own_requirements() -> list[str]:
    """Return what this project requires, and the distributions that bring strategies along."""
    project = CHECKOUT / "pyproject.toml"
    found: Sequence[str]
    if project.is_file():
        import tomllib

        found = tomllib.loads(project.read_text())["project"]["dependencies"]
    else:
        with contextlib.suppress(PackageNotFoundError):
            found = requires("asyncdb-bench") or []
    bringing = [
        each.name
        for each in distributions()
        if any(point.group.startswith("asyncdb_bench.") for point in each.entry_points)
    ]
    return [
        each
        for each in [*found, *bringing]
        if not any(re.match(rf"{name}\b(?!-)", each) for name in OURS)
    ]


def uv_program() -> str:
    """Return where uv is.

    Raises
    ------
    NotMadeError : it is not installed.
    """
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise NotMadeError(f"uv is not installed: {sys.executable} -m pip install uv")
    return found


def _key(wanted: Sequence[str], python: str, here: Mapping[str, str]) -> str:
    import hashlib

    whole = repr((sorted(wanted), python, sorted(here.items()), sys.version, sys.base_prefix))
    return hashlib.sha256(whole.encode()).hexdigest()[:20]


def _make(
    folder: Path, at: str, named: NamedVersions, wanted: Sequence[str], here: Mapping[str, str]
) -> Note:
    """Make an environment in a folder that is not there yet, and check what came of it."""
    _make_bare(folder, named)
    with tempfile.TemporaryDirectory(prefix="asyncdb-bench-uv-") as scratch:
        asked, pinned = Path(scratch, "asked.in"), Path(scratch, "pinned.txt")
        asked.write_text("\n".join(wanted) + "\n")
        # an output that is there is what uv prefers
        pinned.write_text("".join(f"{name}=={version}\n" for name, version in here.items()))
        output = ("--output-file", str(pinned), "--no-header", "--no-annotate")
        run_uv("pip", "compile", str(asked), *output, "--python", str(folder))
        _install(folder, pinned)
        if wrong := altered(folder):
            # files are shared with what uv keeps, which was altered with them
            run_uv("cache", "clean", *wrong)
            shutil.rmtree(folder)
            _make_bare(folder, named)
            _install(folder, pinned)
            if wrong := altered(folder):
                raise NotMadeError(f"{listed(wrong)}: not as their own RECORD says")
        versions = dict(PINNED.findall(pinned.read_text()))
    if not (CHECKOUT / "pyproject.toml").is_file():
        (folder / "ours").mkdir()
        for name in PACKAGES:
            (folder / "ours" / name).symlink_to(CHECKOUT / name)
    return Note(at, versions, _differing(here, versions, named), seal(folder))


def _make_bare(folder: Path, named: NamedVersions) -> None:
    run_uv("venv", str(folder), "--python", named.python or sys.executable, "--relocatable")


def _install(folder: Path, pinned: Path) -> None:
    what = ("--no-deps", "--requirement", str(pinned), "--link-mode", "hardlink")
    run_uv("pip", "install", "--python", str(folder), *what, timeout_s=INSTALL_S)


def _differing(
    here: Mapping[str, str], there: Mapping[str, str], named: NamedVersions
) -> dict[str, tuple[str, str]]:
    """Return the versions here and there of what differs.

    What is only here is a tool of ours, but for extras of what is named.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    names: dict[str, str] = {canonicalize_name(n): version for n, version in there.items()}
    optional: set[str] = set()
    for each in named.requirements:
        with contextlib.suppress(PackageNotFoundError):
            needs = [Requirement(text) for text in requires(each.name) or []]
            optional |= {canonicalize_name(n.name) for n in needs if "extra" in str(n.marker)}
    wanted = names.keys() | {name for name in optional if name.startswith(_prefixes(named))}
    return {
        name: (here.get(name, ""), names.get(name, ""))
        for name in sorted(wanted)
        if here.get(name, "") != names.get(name, "")
    }


def _prefixes(named: NamedVersions) -> tuple[str, ...]:
    """Return how the parts of what is named begin: ``psycopg-`` (``psycopg-binary``)."""
    return tuple(f"{each.name}-" for each in named.requirements)


def altered(folder: Path) -> list[str]:
    """Return the distributions of an environment that have a file unlike their RECORD."""
    found = sorted(folder.glob("lib/python3*/site-packages/*.dist-info/RECORD"))
    return [each.parent.name.partition("-")[0] for each in found if not _is_as_recorded(each)]


def _is_as_recorded(record: Path) -> bool:
    import hashlib

    with record.open(newline="") as lines:
        for path, said, *_ in csv.reader(lines):
            method, _, digest = said.partition("=")
            if not digest:
                continue
            try:
                content = (record.parents[1] / path).read_bytes()
            except OSError:
                return False
            own = base64.urlsafe_b64encode(hashlib.new(method, content).digest())
            if own.rstrip(b"=").decode() != digest:
                return False
    return True


def run_uv(*arguments: str, timeout_s: float = RESOLVE_S) -> str:
    """Run uv and return what it prints.

    Raises
    ------
    NotMadeError : it fails; with its own line.
    """
    for name, value in os.environ.items():
        if name.startswith("UV_INDEX_") and name.endswith("_PASSWORD"):
            hide(value)
    # of an interpreter that is not installed it would fetch one
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    for name in ("UV_COMPILE_BYTECODE", "VIRTUAL_ENV", "PYTHONPATH", "UV_REQUIRE_HASHES"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [uv_program(), "--color", "never", *arguments, "--quiet"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise NotMadeError(f"uv {arguments[0]} did not end within {timeout_s:.0f} s") from error
    finally:
        # with what it has started: compilers
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        raise NotMadeError(f"uv: {own_line(complained)}")
    return said


def own_line(complained: str) -> str:
    """Return what uv says is the matter, in one line and without credentials.

    Parameters
    ----------
    complained : its standard error.
    """
    plain = [re.sub(r"^[\s×╰─▶│├]+", "", line).strip() for line in complained.splitlines()]
    lines = [line for line in plain if line and not line.startswith(("hint:", "warning:"))]
    place = next((p for p, line in enumerate(lines) if line.startswith("cause:")), 0)
    words = (
        re.sub(r"(^| )(?:cause|error): ", r"\1", " ".join(lines[place:]))
        or "it failed and said nothing"
    )
    return masked(CREDENTIALS.sub("***@", words))[:LONGEST]
