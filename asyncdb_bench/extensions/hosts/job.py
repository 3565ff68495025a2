"""The Kubernetes job that stands for a host: a pod that waits, in which processes are run. Pure."""

from __future__ import annotations

import json
from typing import Any

from asyncdb_bench.records.plan import Host

DEADLINE_S = 6 * 3600
"""The cluster ends it by itself after so long, whatever became of the harness."""


def job(host: Host, name: str) -> dict[str, Any]:
    """Return the job as Kubernetes reads it (batch/v1).

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
    return {
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


def job_manifest(host: Host, name: str) -> str:
    """Return it as text, which ``kubectl apply`` reads; JSON is YAML."""
    return json.dumps(job(host, name))
