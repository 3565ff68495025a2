"""Which load processes a run starts, here and on its hosts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from asyncdb_bench.plan.load_workers import Workers, own_processes
from asyncdb_bench.records.messages import LoadWorkerConfig
from asyncdb_bench.records.plan import Pinning, Plan
from asyncdb_bench.trial.child import Child
from asyncdb_bench.trial.hosts.reached_hosts import ReachedHosts
from asyncdb_bench.trial.load_set import LoadSet, run_token


def several_loads(
    plan: Plan,
    pinning: Pinning,
    logs: Path,
    say: Callable[[str], None],
    hosts: ReachedHosts | None,
) -> AbstractContextManager[LoadSet | None]:
    """Return the load's processes, where a plan asks for several; else nothing."""
    workers, token = Workers.of(plan.settings), run_token()
    if hosts is not None and hosts.of("load"):
        own = own_processes(plan.settings, plan.hosts)
        workers = replace(workers, own=own, master=workers.master or f"{plan.hosts.harness}:0")
        further = load_workers_on(hosts, logs, token[0])
        return LoadSet(workers, pinning.of("load"), logs, say, token, further)
    if not workers.several:
        return contextlib.nullcontext()
    return LoadSet(workers, pinning.of("load"), logs, say, token)


def load_workers_on(
    hosts: ReachedHosts, logs: Path, token: str
) -> Callable[[int], Sequence[Child]]:
    """Return what starts load workers on other hosts, given the master's port."""

    def start(port: int) -> Sequence[Child]:
        master = hosts.hosts.harness
        return [
            Child(
                "asyncdb_bench.load.worker",
                LoadWorkerConfig(host=master, port=port, token=token, place=each.name),
                logs / f"load-{each.name}-{number}.log",
                f"load worker {number} on {each.name}",
                host=each,
            )
            for each in hosts.of("load")
            for number in range(each.host.load_processes)
        ]

    return start
