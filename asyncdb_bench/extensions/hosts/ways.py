"""How a program is started on a host with its standard streams here: a command line. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from asyncdb_bench.records.plan import Host

RELAY = "asyncdb_bench.extensions.hosts.ssh_relay"


def command(
    host: Host, program: Sequence[str], environment: Mapping[str, str] | None = None, job: str = ""
) -> list[str]:
    """Return the command line that runs a program on a host.

    Parameters
    ----------
    host : where.
    program : its command line there.
    environment : set for it besides.
    job : of Kubernetes: the job that stands for the host.
    """
    named = [f"{key}={value}" for key, value in (environment or {}).items()]
    inner = ["env", *named, *program] if named else list(program)
    return [*_before(host, job), *inner]


def _before(host: Host, job: str) -> list[str]:
    options = host.options
    if host.via == "ssh":
        told = [
            f"{key}={options[key]}"
            for key in ("user", "port", "key", "known_hosts")
            if key in options
        ]
        return [sys.executable, "-m", RELAY, host.address, *told, "--"]
    if host.via in ("docker", "podman"):
        chosen = "--context" if host.via == "docker" else "--connection"
        context = [chosen, options["context"]] if "context" in options else []
        return [host.via, *context, "exec", "--interactive", options["container"]]
    if host.via == "kubernetes":
        return [*kubectl(host), "exec", "--stdin", "--quiet", f"job/{job}", "--"]
    return list(host.command)


def kubectl(host: Host) -> list[str]:
    """Return the start of a command line of ``kubectl`` for a host's cluster."""
    found = ["kubectl"]
    if context := host.options.get("context"):
        found += ["--context", context]
    if namespace := host.options.get("namespace"):
        found += ["--namespace", namespace]
    return found
