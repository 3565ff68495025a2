"""All hosts of a run: reached together, watched in each window, and left together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.extensions.hosts import agent_messages as m
from asyncdb_bench.extensions.hosts.reached import ReachedHost
from asyncdb_bench.processes.place import HERE, ByPlace, Place, Placement, Roles, Watch
from asyncdb_bench.records.plan import Hosts
from asyncdb_bench.records.step import Observed
from asyncdb_bench.services.program import Part

USAGE_ROLES = {"database": "postgresql", "broker": "broker"}
"""What a role's figures are called in a step."""
SILENT_S = 1.5
"""An agent says four times a second that it is there."""
FEW_TIMEOUTS = 3
"""So many answers that TCP waited for in vain are no accident: the network lost packets."""


class ReachedHosts(Placement):
    """All hosts of a run; entering reaches them, leaving leaves them as they were.

    Parameters
    ----------
    hosts : who plays which role.
    logs : folder for what is printed there.
    """

    def __init__(self, hosts: Hosts, logs: Path) -> None:
        self.hosts = hosts
        away = [each for each in hosts.all if each.via != "local"]
        self.all = tuple(ReachedHost(each, logs) for each in away)

    def __enter__(self) -> ReachedHosts:
        try:
            _do_together([each.open for each in self.all])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _do_together([each.close for each in self.all])

    def of(self, role: str) -> tuple[ReachedHost, ...]:
        """Return those that play a role."""
        return tuple(each for each in self.all if role in each.host.roles)

    def at(self, role: str) -> Place:
        """Return who plays a role that one plays."""
        return next(iter(self.of(role)), HERE)

    def loads(self) -> list[tuple[Place, int]]:
        """Return where load workers run, and how many there."""
        return [(each, each.host.load_processes) for each in self.of("load")]

    def address(self, usual: str) -> str:
        """Return where applications listen, so that the load reaches them."""
        for each in self.of("application"):
            return each.host.address
        return self.hosts.harness if self.of("load") else usual

    def watches(self, by_place: ByPlace, *, with_broker: bool) -> list[Watch]:
        """Return what watches the hosts of a variant's processes and services."""
        found = {place.name: dict(roles) for place, roles in by_place if place is not HERE}
        for host in self.all:
            for role, pids in host.machine.pids.items():
                if role != "broker" or with_broker:
                    found.setdefault(host.name, {})[USAGE_ROLES[role]] = pids
        return [HostWatch(host, found[host.name]) for host in self.all if host.name in found]

    def notes(self) -> tuple[str, ...]:
        """Return what cannot be watched there, in words."""
        return tuple(
            f"host {each.name}: not watched: {what}"
            for each in self.all
            for what in each.machine.unwatched
        )

    def machines(self) -> dict[str, Any]:
        """Return what the hosts are, for the manifest."""
        return {
            each.name: {"roles": list(each.host.roles), **each.machine.machine} for each in self.all
        }


def _do_together(calls: Sequence[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(len(calls) or 1) as pool:
        done = [pool.submit(call) for call in calls]
    for each in done:
        each.result()


class HostWatch:
    """Watches a host; attributes as of :class:`Watch`.

    Parameters
    ----------
    host : which.
    roles : process ids there, by the role that a step gives figures of.
    """

    def __init__(self, host: ReachedHost, roles: Roles) -> None:
        self.host = host
        self.roles = roles
        self.cut = ""

    def part(self) -> Part:
        """Return the way to the host as a part whose life is watched."""
        return self.host.part()

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
