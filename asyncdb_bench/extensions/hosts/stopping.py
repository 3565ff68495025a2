"""Stopping a variant's processes wherever they run."""

from __future__ import annotations

from typing import Protocol

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.extensions.hosts import agent_messages as m
from asyncdb_bench.extensions.hosts.reached import ReachedHost
from asyncdb_bench.measure.launch import Processes
from asyncdb_bench.measure.pausing import Stoppable


class CanStop(Protocol):
    """Processes that can be stopped; `refusal` says why they could not be."""

    refusal: str

    def stop(self) -> None:
        """Stop all."""

    def resume(self) -> None:
        """Let all go on."""

    def used_s(self) -> float:
        """Return the CPU seconds that they have used."""


class StoppableAway:
    """Processes on another host.

    Parameters
    ----------
    host : which.
    roots : process ids there; their children belong to them.
    """

    def __init__(self, host: ReachedHost, roots: tuple[int, ...]) -> None:
        self.host = host
        self.roots = roots
        self.refusal = ""

    def stop(self) -> None:
        """Stop all; afterwards `refusal` says why one runs on, or nothing."""
        self._do(m.Halt(self.roots))

    def resume(self) -> None:
        """Let all go on."""
        self._do(m.Resume(self.roots))

    def used_s(self) -> float:
        """Return the CPU seconds that they have used."""
        return self._do(m.Spent(self.roots))

    def _do(self, order: m.Halt | m.Resume | m.Spent) -> float:
        try:
            state = self.host.ask(order, m.State)
        except ServiceError as error:
            # the host's loss is seen by who watches it
            self.refusal = str(error)
            return 0.0
        self.refusal = state.refusal
        return state.cpu_s


class Everywhere:
    """The processes of one variant, here and on other hosts.

    Parameters
    ----------
    processes : of the variant.
    """

    def __init__(self, processes: Processes) -> None:
        self.parts: list[CanStop] = [Stoppable(processes.pids)] if processes.pids else []
        self.parts += [
            StoppableAway(host, tuple(pid for pids in roles.values() for pid in pids))
            for host, roles in processes.away()
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

    def used_s(self) -> float:
        """Return the CPU seconds that they have used."""
        return sum(each.used_s() for each in self.parts)
