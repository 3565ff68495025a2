"""Processes on another host in a window: what they use, and whether the way to them held.

The kernel's count (``TCPTimeouts`` in ``/proc/net/netstat``) is of all sockets of the network
namespace. Those that no process has any more go on trying to reach a peer that is gone, for minutes
after what was measured: theirs are left out (``/proc/net/tcp``: inode 0, proc_net_tcp.txt).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.extensions.hosts import agent_messages as m
from asyncdb_bench.extensions.hosts.reached import USAGE_ROLES, ReachedHost
from asyncdb_bench.extensions.hosts.reached_hosts import ReachedHosts
from asyncdb_bench.measure.launch import Processes
from asyncdb_bench.records.step import Observed

NET = Path("/proc/self/net")
RETRANSMITS, INODE = 6, 9
"""Places among the fields of a socket's line."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What was lost until now: by all sockets, and by those of no process."""

    all: int
    orphans: int

    def since(self, before: Losses) -> int:
        """Return how often living sockets have waited in vain since."""
        return max(0, self.all - before.all - max(0, self.orphans - before.orphans))


def losses(net: Path = NET) -> Losses:
    """Return what was lost until now; zeros where the kernel does not tell."""
    return Losses(_timeouts(net), sum(_orphans(net / name) for name in ("tcp", "tcp6")))


def _timeouts(net: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in (net / "netstat").read_text().splitlines()]
        for names, values in zip(lines[::2], lines[1::2], strict=False):
            if names[0] == "TcpExt:" and "TCPTimeouts" in names:
                return int(values[names.index("TCPTimeouts")])
    return 0


def _orphans(table: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
        return sum(int(row[RETRANSMITS], 16) for row in rows if row[INODE] == "0")
    return 0


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
