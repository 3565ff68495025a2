"""Who plays which role in a run, from a file: ``[hosts.NAME]`` tables -> hosts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.cores import numbers
from asyncdb_bench.plan.request import is_file
from asyncdb_bench.records.plan import HOST_ROLES, HOST_WAYS, Host, Hosts, Settings, Variant

NEEDS = {
    "local": (),
    "ssh": (),
    "docker": ("container",),
    "podman": ("container",),
    "kubernetes": ("image",),
    "command": ("command",),
}
"""What a way of reaching a host must be told."""
OPTIONS = ("user", "port", "key", "known_hosts", "container", "context", "namespace", "image")
SECRET = ("password", "passphrase", "token")


class Described(msgspec.Struct, forbid_unknown_fields=True):
    """A table ``[hosts.NAME]``.

    Parameters
    ----------
    roles : that it plays: application, workers, load, database, broker.
    via : how it is reached.
    address : by which the others reach it; empty: its name.
    python : the interpreter there that has what requirements.lock lists.
    cores : lists of cores by role, ``{application = "0-1"}``.
    load_processes : load workers that are started there.
    user, port, key, known_hosts : of ssh; empty: as ssh itself would.
    container, context : of docker and podman, and the context of kubectl.
    namespace, image : of kubernetes.
    command : of `command`: what stands before a program's own command line.
    """

    roles: list[str]
    via: str = "ssh"
    address: str = ""
    python: str = "python3"
    cores: dict[str, str] = {}
    load_processes: int = 1
    user: str = ""
    port: int = 0
    key: str = ""
    known_hosts: str = ""
    container: str = ""
    context: str = ""
    namespace: str = ""
    image: str = ""
    command: list[str] = []


class Harness(msgspec.Struct, forbid_unknown_fields=True):
    """The table ``[harness]``: the address by which the hosts reach this machine."""

    address: str = ""


def read_hosts(path: Path) -> Hosts:
    """Read a file of hosts.

    Raises
    ------
    UsageError : it cannot be read, or says something that is not known.
    """
    try:
        return _hosts(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(f"--hosts {path}: {error}") from None


def _hosts(content: Mapping[str, Any]) -> Hosts:
    if unknown := sorted(content.keys() - {"hosts", "harness"}):
        raise ValueError(f"{unknown[0]!r} is neither [hosts.NAME] nor [harness]")
    tables = content.get("hosts", {})
    if not tables:
        raise ValueError("names no host: [hosts.NAME] with its roles")
    harness = _converted("harness", content.get("harness", {}), Harness)
    hosts = Hosts(tuple(_host(name, table) for name, table in tables.items()), harness.address)
    for role in HOST_ROLES:
        players = [each.name for each in hosts.all if role in each.roles]
        if role != "load" and len(players) > 1:
            raise ValueError(f"{role} is played by {' and '.join(players)}, not by one")
    if hosts.of("load") and not hosts.harness:
        raise ValueError(
            "load comes from elsewhere; say in [harness] by which address the hosts reach this"
            " machine"
        )
    return hosts


def _host(name: str, table: Mapping[str, Any]) -> Host:
    where = f"hosts.{name}"
    if secrets := sorted(set(SECRET) & table.keys()):
        raise ValueError(f"[{where}] has a {secrets[0]}; hosts are reached with keys alone")
    told = _converted(where, table, Described)
    if wrong := _wrong(told):
        raise ValueError(f"[{where}] {wrong}")
    return Host(
        name=name,
        roles=tuple(told.roles),
        address=told.address or ("127.0.0.1" if told.via == "local" else name),
        via=told.via,
        python=told.python,
        cores={role: numbers(text) for role, text in told.cores.items()},
        load_processes=told.load_processes,
        options={key: str(value) for key in OPTIONS if (value := getattr(told, key))},
        command=tuple(told.command),
    )


def _wrong(told: Described) -> str:
    """Return what is wrong with a table; empty: nothing."""
    wrong = ""
    if told.via not in HOST_WAYS:
        wrong = f"via={told.via!r}; known: {', '.join(HOST_WAYS)}"
    elif unknown := sorted({*told.roles, *told.cores} - set(HOST_ROLES)):
        wrong = f"role {unknown[0]!r}; known: {_listed()}"
    elif not told.roles:
        wrong = f"plays no role; known: {_listed()}"
    elif missing := [each for each in NEEDS[told.via] if not getattr(told, each)]:
        wrong = f"via={told.via!r} needs {missing[0]}"
    elif not 1 <= told.load_processes <= 64:
        wrong = f"load_processes={told.load_processes} is outside 1..64"
    else:
        try:
            for text in told.cores.values():
                numbers(text)
        except ValueError:
            wrong = "cores read 0-1 or 0,2"
    return wrong


def misfits(
    hosts: Hosts, settings: Settings, variants: Sequence[Variant], *, far: bool
) -> list[str]:
    """Return what of a run does not go with its hosts.

    Parameters
    ----------
    hosts, settings, variants : of the run.
    far : whether the database is on another machine.
    """
    wrong = []
    if hosts.of("application") or hosts.of("workers"):
        if not far:
            wrong.append(
                "--hosts: the application is on another host; DATABASE_URL (and BROKER_URL) must"
                " name services that it can reach"
            )
        if settings.rtt_ms or settings.broker_rtt_ms or settings.via != "direct":
            wrong.append("--hosts: a round trip or a pooler is put between on this machine alone")
        wrong += [
            f"{each.label}: code that lies here cannot be run on another host"
            for each in variants
            if each.elsewhere is not None or is_file(each.strategy) or each.target is not None
        ]
    return wrong


def _converted(where: str, table: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"[{where}]: {error}") from None


def _listed() -> str:
    return ", ".join(HOST_ROLES)
