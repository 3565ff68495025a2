"""How a program is started on a host with its standard streams here: a command line. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from asyncdb_bench.records.plan import Host

SSH = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "LogLevel": "ERROR",
    "ServerAliveInterval": "2",
    "ServerAliveCountMax": "3",
}
"""Options of ssh(1): no question is ever asked, and a machine that is silent for 6 s is gone."""
SSH_NAMES = {
    "user": "User",
    "port": "Port",
    "key": "IdentityFile",
    "known_hosts": "UserKnownHostsFile",
}
DEADLINE_S = 6 * 3600
"""A cluster ends the job by itself after so long, whatever became of the harness."""


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
    options = host.options
    if host.via == "ssh":
        told = {SSH_NAMES[key]: value for key, value in options.items() if key in SSH_NAMES}
        given = [f"-o{name}={value}" for name, value in (SSH | told).items()]
        return ["ssh", "-T", *given, host.address, shlex.join(inner)]
    if host.via in ("docker", "podman"):
        chosen = "--context" if host.via == "docker" else "--connection"
        context = [chosen, options["context"]] if "context" in options else []
        return [host.via, *context, "exec", "--interactive", options["container"], *inner]
    if host.via == "kubernetes":
        return [*kubectl(host), "exec", "--stdin", "--quiet", f"job/{job}", "--", *inner]
    return [*host.command, *inner]


def kubectl(host: Host) -> list[str]:
    """Return the start of a command line of ``kubectl`` for a host's cluster."""
    found = ["kubectl"]
    if context := host.options.get("context"):
        found += ["--context", context]
    if namespace := host.options.get("namespace"):
        found += ["--namespace", namespace]
    return found


def job_manifest(host: Host, name: str) -> str:
    """Return the Kubernetes job that stands for a host: a pod that waits (batch/v1, in JSON).

    Parameters
    ----------
    host : whose image, and whose cores the pod is given for its own.
    name : of the job.
    """
    cores = len({core for each in host.cores.values() for core in each})
    asked = {"cpu": str(cores), "memory": "2Gi"} if cores else {"memory": "1Gi"}
    container = {
        "name": "bench",
        "image": host.options["image"],
        "command": ["sleep", str(DEADLINE_S)],
        # whole cores, asked for and limited alike, are the pod's own where the kubelet's CPU
        # manager is static
        "resources": {"requests": asked, "limits": asked},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "asyncdb-bench"}},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE_S,
            "ttlSecondsAfterFinished": 60,
            "template": {
                "metadata": {"labels": {"asyncdb-bench/host": name}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 2,
                    "automountServiceAccountToken": False,
                    "containers": [container],
                },
            },
        },
    }
    return json.dumps(job)
