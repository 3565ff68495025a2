"""All hosts of a run, reached together and left together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asyncdb_bench.extensions.hosts.reached import ReachedHost
from asyncdb_bench.records.plan import Hosts


class ReachedHosts:
    """All hosts of a run.

    Parameters
    ----------
    hosts : who plays which role.
    logs : folder for what is printed there.
    """

    def __init__(self, hosts: Hosts, logs: Path) -> None:
        self.hosts = hosts
        away = [each for each in hosts.all if each.via != "local"]
        self.all = tuple(ReachedHost(each, logs) for each in away)

    @contextlib.contextmanager
    def reached(self) -> Iterator[ReachedHosts]:
        """Reach all; leave all afterwards, at once and in any case."""
        try:
            _together([each.open for each in self.all])
            yield self
        finally:
            _together([each.close for each in self.all])

    def of(self, role: str) -> tuple[ReachedHost, ...]:
        """Return those that play a role."""
        return tuple(each for each in self.all if role in each.host.roles)

    def one(self, role: str) -> ReachedHost | None:
        """Return who plays a role that one plays; None: this machine."""
        return next(iter(self.of(role)), None)

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


def _together(calls: Sequence[Any]) -> None:
    """Do several things at once; raise the first error when all are done."""
    errors: list[BaseException] = []

    def do(call: Any) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=do, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
