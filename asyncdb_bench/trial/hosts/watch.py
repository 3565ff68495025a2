"""Processes on another host in a window: what they use, whether the way to them held."""

from __future__ import annotations

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.measure.launch import Processes
from asyncdb_bench.records.observed import Observed
from asyncdb_bench.trial.hosts import agent_messages as m
from asyncdb_bench.trial.hosts.reached import USAGE_ROLES, ReachedHost
from asyncdb_bench.trial.hosts.reached_hosts import ReachedHosts

SILENT_S = 1.5
"""An agent says four times a second that it is there."""
FEW_TIMEOUTS = 3
"""So many answers that TCP waited for in vain are no accident: the network lost packets."""


class HostWatch:
    """Watches a host.

    Parameters
    ----------
    host : which.
    roles : process ids there, by the role that a step gives figures of.

    Attributes
    ----------
    cut : in words that the way to the host did not hold in the last window; empty: it did.
    """

    def __init__(self, host: ReachedHost, roles: dict[str, list[int]]) -> None:
        self.host = host
        self.roles = roles
        self.cut = ""

    @classmethod
    def of(
        cls, processes: Processes, hosts: ReachedHosts | None, *, with_broker: bool
    ) -> tuple[HostWatch, ...]:
        """Return who watches the hosts of a variant's processes and services."""
        if hosts is None:
            return ()
        away = {host.name: roles for host, roles in processes.away()}
        for host in hosts.all:
            for role, pids in host.machine.pids.items():
                if role != "broker" or with_broker:
                    away.setdefault(host.name, {})[USAGE_ROLES[role]] = pids
        return tuple(cls(host, away[host.name]) for host in hosts.all if host.name in away)

    def begin(self) -> None:
        """Begin to watch a step."""
        self.cut = ""
        try:
            self.host.measure_clock()
            self.host.ask(m.Begin(self.roles), m.State)
        except ServiceError as error:
            self.cut = str(error)
        self.host.silent_s()

    def end(self, observed: Observed, *, memory: bool) -> None:
        """Add what was seen since."""
        silent_s = self.host.silent_s()
        if self.cut:
            return
        try:
            used = self.host.ask(m.End(memory), m.Used)
        except ServiceError as error:
            self.cut = str(error)
            return
        observed.usage |= used.usage
        observed.threads = observed.threads or used.threads
        observed.stolen = max(observed.stolen, used.stolen)
        if silent_s > SILENT_S:
            self.cut = f"the way to host {self.host.name} was cut for {silent_s:.1f} s"
        elif used.timeouts >= FEW_TIMEOUTS:
            self.cut = (
                f"the network of host {self.host.name} lost packets: TCP waited in vain"
                f" {used.timeouts} times"
            )
