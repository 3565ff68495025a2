"""Where processes run: on this machine, or on others that an extension reaches."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from asyncdb_bench import clock
from asyncdb_bench.extensions import added, loaded
from asyncdb_bench.processes import kernel
from asyncdb_bench.processes.pausing import Stoppable
from asyncdb_bench.records.plan import Hosts, Reach
from asyncdb_bench.records.step import Observed
from asyncdb_bench.services.program import Part
from asyncdb_bench.services.running import Services

Roles = dict[str, list[int]]
"""Process ids by the role that a step gives figures of."""


class CanStop(Protocol):
    """Processes that can be stopped; `refusal` says why they could not be."""

    refusal: str

    def stop(self) -> None:
        """Stop all."""

    def resume(self) -> None:
        """Let all go on."""


class Watch(Protocol):
    """Watches another machine.

    Attributes
    ----------
    roles : the processes there.
    cut : in words that the way there did not hold in the last window; empty: it did.
    """

    roles: Roles
    cut: str

    def begin(self) -> None:
        """Begin to watch a step."""

    def end(self, observed: Observed, *, memory: bool) -> None:
        """Add what was seen since."""

    def part(self) -> Part:
        """Return the way there as a part whose life is watched."""


class Place(Protocol):
    """A machine that processes of ours run on."""

    @property
    def name(self) -> str:
        """What it is called; empty: this machine."""

    @property
    def clock(self) -> str:
        """The clock that its processes read, see :func:`asyncdb_bench.clock.identity`."""

    @property
    def offset_ns(self) -> int:
        """What that clock reads more than ours."""

    def command(self, module: str) -> list[str]:
        """Return the command line that runs a module of ours there."""

    def pin(self, role: str, pids: Sequence[int], cores: Sequence[int]) -> None:
        """Put processes, their children and all their threads on cores.

        Parameters
        ----------
        role : that they play.
        pids : there.
        cores : of the role on this machine; another has its own. None: leave them.
        """

    def stoppable(self, roots: Sequence[int]) -> CanStop:
        """Return processes there with their children, to be stopped and resumed."""

    def round_trips(
        self, services: Services, reach: Reach, *, with_broker: bool, through: bool
    ) -> Mapping[str, float]:
        """Return the round trips from there, milliseconds, see :class:`Services`."""


class Here:
    """The machine that this process runs on."""

    name = ""
    clock = clock.identity()
    offset_ns = 0

    def command(self, module: str) -> list[str]:
        """Return the command line that runs a module of ours."""
        return [sys.executable, "-m", module]

    def pin(self, role: str, pids: Sequence[int], cores: Sequence[int]) -> None:
        """Put processes, their children and all their threads on cores; none: leave them."""
        for each in kernel.descendants(pids) if cores else ():
            for thread in kernel.threads(each):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(thread, cores)

    def stoppable(self, roots: Sequence[int]) -> CanStop:
        """Return processes with their children, to be stopped and resumed."""
        return Stoppable(roots)

    def round_trips(
        self, services: Services, reach: Reach, *, with_broker: bool, through: bool
    ) -> Mapping[str, float]:
        """Return the round trips from here, milliseconds."""
        return services.round_trips(reach, with_broker=with_broker, through=through)


HERE: Place = Here()
ByPlace = list[tuple[Place, Roles]]


class Everywhere:
    """Processes on several machines.

    Parameters
    ----------
    by_place : which.
    """

    def __init__(self, by_place: ByPlace) -> None:
        self.parts = [
            place.stoppable([pid for pids in roles.values() for pid in pids])
            for place, roles in by_place
        ]

    @property
    def refusal(self) -> str:
        """Why one runs on; empty: none does."""
        return next((each.refusal for each in self.parts if each.refusal), "")

    def stop(self) -> None:
        """Stop all."""
        for each in self.parts:
            each.stop()

    def resume(self) -> None:
        """Let all go on."""
        for each in self.parts:
            each.resume()


class Placement:
    """Who plays which role in a run; this one: all are on this machine."""

    def at(self, role: str) -> Place:
        """Return who plays a role that one plays."""
        return HERE

    def loads(self) -> list[tuple[Place, int]]:
        """Return where else load workers run, and how many there."""
        return []

    def address(self, usual: str) -> str:
        """Return where applications listen, so that the load reaches them."""
        return usual

    def watches(self, by_place: ByPlace, *, with_broker: bool) -> list[Watch]:
        """Return what watches the other machines of a variant's processes and services."""
        return []

    def notes(self) -> tuple[str, ...]:
        """Return what cannot be watched elsewhere, in words."""
        return ()

    def machines(self) -> dict[str, Any]:
        """Return what the other machines are, by name, for the manifest."""
        return {}


@contextlib.contextmanager
def placed(hosts: Hosts, logs: Path) -> Iterator[Placement]:
    """Reach a run's machines; leave them afterwards.

    Parameters
    ----------
    hosts : of the plan.
    logs : folder for what is printed there.

    Raises
    ------
    ServiceError : one cannot be reached.
    UsageError : one lacks what our processes need.
    """
    if any(each.via != "local" for each in hosts.all):
        with loaded(added("PLACES")["reach"])(hosts, logs) as placement:
            yield placement
    else:
        yield Placement()
