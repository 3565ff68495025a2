"""Which load workers a run has, and what of that cannot be. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.reach import is_far
from asyncdb_bench.records.plan import Hosts, Settings

PORT = 5557
"""Locust's own."""
ANYWHERE = "0.0.0.0"  # noqa: S104 - asked for by who expects workers from elsewhere
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Workers:
    """Which load workers a run has.

    Parameters
    ----------
    own : that it starts on this machine.
    there : that it starts on its hosts.
    expected : that are started elsewhere by others.
    master : ``HOST:PORT`` where they come to; empty: see :meth:`bound`.
    web : port of Locust's own page; 0: none.
    harness : the address by which hosts reach this machine.
    """

    own: int = 1
    there: int = 0
    expected: int = 0
    master: str = ""
    web: int = 0
    harness: str = ""

    @classmethod
    def of(cls, settings: Settings, hosts: Hosts) -> Workers:
        """Return those of a run: where hosts offer load, of this machine those asked for only."""
        there = sum(each.load_processes for each in hosts.of("load"))
        return cls(
            0 if there and settings.load_processes == 1 else settings.load_processes,
            there,
            settings.expect_load_workers,
            settings.load_master or (f"{hosts.harness}:0" if there else ""),
            settings.locust_web,
            hosts.harness,
        )

    @property
    def several(self) -> bool:
        """Whether they need a master."""
        return self != Workers(harness=self.harness)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.own + self.there + self.expected

    def bound(self) -> tuple[str, int]:
        """Return where the master listens.

        Raises
        ------
        UsageError : ``--load-master`` is not HOST:PORT.
        """
        if not self.master:
            return (ANYWHERE, PORT) if self.expected else (LOOPBACK, 0)
        host, colon, port = self.master.rpartition(":")
        if not colon or not port.isdigit() or not 0 <= int(port) < 65536:
            raise UsageError(f"--load-master {self.master!r} should read HOST:PORT")
        return host.strip("[]") or ANYWHERE, int(port)


def wrong_workers(settings: Settings, hosts: Hosts) -> list[str]:
    """Return what of a run's load workers cannot be.

    Parameters
    ----------
    settings, hosts : of the run.
    """
    workers = Workers.of(settings, hosts)
    try:
        bind, _ = workers.bound()
    except UsageError as error:
        return [str(error)]
    away = _is_away(bind) and not hosts.of("application")
    if workers.expected and away and not _is_away(settings.address):
        return [
            "--expect-load-workers: workers elsewhere cannot reach an application on"
            f" {settings.address}; say by --address where it listens"
        ]
    return []


def _is_away(host: str) -> bool:
    return is_far(f"http://{host}")
