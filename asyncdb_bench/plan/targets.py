"""Applications of others: ``--target a=http://127.0.0.1:8000``, ``[targets.mine]`` -> variants."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from asyncdb_bench.errors import UnknownNameError, UsageError
from asyncdb_bench.plan.other_checkout import git_says, revision_and_changes
from asyncdb_bench.plan.profiles import configuration
from asyncdb_bench.plan.reach import is_far
from asyncdb_bench.plan.registry import CHECKOUT
from asyncdb_bench.records.plan import Target, Variant

STRATEGY = "target"
"""What stands in the place of a strategy's name."""
PORT = "{port}"
PYTHON = "{python}"
"""The interpreter that runs the harness."""


class Described(msgspec.Struct, forbid_unknown_fields=True):
    """A table ``[targets.NAME]``.

    Parameters
    ----------
    url : of the application; ``{port}`` is a port that is free.
    command : starts it; empty: it runs already. ``{port}`` as in `url`,
        ``{python}`` the interpreter that runs the harness.
    cwd : where it is started, relative to the file.
    env : further environment; ``{port}`` as in `url`. It is not written into results.
    health : path that answers without work, for the readiness and the probe; empty: there is none.
    ready_s : seconds until it must answer.
    """

    url: str = f"http://127.0.0.1:{PORT}"
    command: list[str] = []
    cwd: str = "."
    env: dict[str, str] = {}
    health: str = ""
    ready_s: float = 30.0


def target_variants(
    wanted: Sequence[str], pids: Sequence[str] = (), *, owned: bool = False
) -> list[Variant]:
    """Return the applications that are asked for as variants.

    Parameters
    ----------
    wanted : ``URL``, ``NAME=URL``, ``NAME`` of ``[targets.NAME]``, or ``NAME@CHECKOUT``.
    pids : ``NAME=PID[,PID]``: of applications that run already.
    owned : those beyond loopback may be loaded: whoever asks says that they are theirs.

    Raises
    ------
    UsageError : anything wrong with them.
    """
    given = dict(_pids_of(each) for each in pids)
    found = [_variant(each, given, owned=owned) for each in wanted]
    if unknown := sorted(given.keys() - {each.label for each in found}):
        raise UsageError(f"--target-pid names {unknown[0]!r}, no --target of this run")
    return found


def environment_of(target: Target) -> dict[str, str]:
    """Return the environment that a target is started with, read from its file anew."""
    if not target.command:
        return dict(os.environ)
    described = _described(target.name)
    own = {name: str(value) for name, value in described.env.items()}
    environment = os.environ | own
    if any(PYTHON in each for each in target.command) and (CHECKOUT / "bench.py").is_file():
        # a checkout's interpreter has all but asyncdb_bench itself
        paths = [environment.get("PYTHONPATH", ""), str(CHECKOUT)]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment


def at_checkout(variant: Variant, checkout: Path, label: str) -> Variant:
    """Return a target that is started in another checkout of its repository.

    Parameters
    ----------
    variant : a target with a command.
    checkout : the other's root.
    label : of the new variant.

    Raises
    ------
    UsageError : it has no command, or its folder is not there.
    """
    target = variant.target
    assert target is not None
    if not target.command:
        raise UsageError(
            f"{variant.label}: an application that runs already has no other checkout; give its"
            f" command in [targets.{target.name}]"
        )
    root = repository(target)
    folder = checkout / Path(target.cwd).relative_to(root)
    if not folder.is_dir():
        raise UsageError(f"{variant.label}: {folder} does not exist in that checkout")
    here = replace(target, cwd=str(folder), git=revision_and_changes(folder))
    return replace(variant, label=label, target=here)


PLACE = re.compile(
    r"(localhost|\[[0-9a-f:]+\]|[\w-]+(\.[\w-]+)*):\d+(/.*)?|localhost|(\d+\.){3}\d+"
)
"""A host, with a port perhaps."""


def repository(target: Target) -> Path:
    """Return the root of the repository that a target's command is started in; else its folder."""
    said = git_says(Path(target.cwd), "rev-parse", "--show-toplevel")
    return Path(said).resolve() if said else Path(target.cwd)


def _variant(text: str, pids: Mapping[str, tuple[int, ...]], *, owned: bool) -> Variant:
    name, at = text, ""
    if "://" in text:
        head, _, rest = text.partition("://")
        label, equals, scheme = head.rpartition("=")
        url = f"{scheme}://{rest}"
        name = label if equals else urlsplit(url).netloc
        target = Target(name=name, url=url.rstrip("/"), pids=pids.get(name, ()))
    else:
        name, _, at = text.partition("@")
        described = _described(name)
        cwd = (_folder() / described.cwd).resolve()
        target = Target(
            name=name,
            url=described.url.rstrip("/"),
            command=tuple(described.command),
            cwd=str(cwd),
            health=described.health,
            ready_s=described.ready_s,
            pids=pids.get(name, ()),
            git=revision_and_changes(cwd) if described.command else {},
        )
    _check(target, owned=owned)
    made = Variant(
        label=name, strategy=STRATEGY, knobs={}, budget=0, request=text, shares=(), target=target
    )
    return at_checkout(made, (Path.cwd() / at).resolve(), text) if at else made


def _check(target: Target, *, owned: bool) -> None:
    parts = urlsplit(target.url.replace(PORT, "1"))
    if "@" in parts.netloc:
        raise UsageError(
            "--target: an account stands in its URL, and would stand in the report; give"
            " http://HOST:PORT, and have the scenario log in (docs/own-application.md)"
        )
    if parts.scheme != "http":
        raise UsageError(
            f"--target {target.url}: {parts.scheme or 'no scheme'} is not loaded; give the"
            " application itself, http://HOST:PORT, not what stands before it"
        )
    if parts.path or parts.query:
        raise UsageError(
            f"--target {target.url}: give scheme, host and port; paths are the scenario's routes"
        )
    try:
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--target {target.url}: {error}") from None
    if not parts.hostname or port is None:
        raise UsageError(f"--target {target.url}: give host and port, http://127.0.0.1:8000")
    if is_far(f"http://{parts.netloc}") and not owned:
        raise UsageError(
            f"--target {target.url} is not of this machine: load only what is yours; --yes-i-own-it"
            " says that it is"
        )
    if PORT in target.url and not target.command:
        raise UsageError(f"[targets.{target.name}] has {PORT} in its url and no command to give it")


def _described(name: str) -> Described:
    tables = configuration().get("targets", {})
    label, equals, place = name.rpartition("=")
    if name not in tables and PLACE.fullmatch(place):
        raise UsageError(f"--target {name}: write {label}{equals}http://{place}")
    if name not in tables:
        raise UnknownNameError("target", name, tables)
    try:
        return msgspec.convert(tables[name], Described)
    except msgspec.ValidationError as error:
        raise UsageError(f"[targets.{name}] in bench.toml: {error}") from None


def _folder() -> Path:
    return Path.cwd()


def _pids_of(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, listed = text.rpartition("=")
    try:
        return name, tuple(int(each) for each in listed.split(","))
    except ValueError:
        raise UsageError(f"--target-pid {text!r} should read NAME=PID[,PID]") from None
