"""What the harness and its agent on a host say to one another: lines of JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from asyncdb_bench.records.plan import Broker
from asyncdb_bench.records.step import Threads, Usage


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Say what this machine is, and what we may do there.

    Parameters
    ----------
    cores : that processes are to be kept on.
    programs : names of programs by role, whose processes are to be watched.
    """

    cores: tuple[int, ...] = ()
    programs: dict[str, tuple[str, ...]] = {}


class Machine(msgspec.Struct, frozen=True, tag="machine", kw_only=True):
    """The answer.

    Parameters
    ----------
    clock : that processes there read.
    machine : as in a manifest.
    cores : that may be used.
    unwatched : what cannot be watched or done there, in words.
    pids : of the programs asked for, by role.
    """

    clock: str
    machine: dict[str, Any]
    cores: tuple[int, ...]
    unwatched: tuple[str, ...]
    pids: dict[str, list[int]]


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    """Read the clock."""


class Tock(msgspec.Struct, frozen=True, tag="tock"):
    """The answer, CLOCK_MONOTONIC."""

    there_ns: int


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Begin to watch processes, by role."""

    roles: dict[str, list[int]]


class End(msgspec.Struct, frozen=True, tag="end"):
    """Say what they used since."""

    memory: bool = True


class Used(msgspec.Struct, frozen=True, tag="used"):
    """The answer; `timeouts` are retransmissions of TCP for want of an acknowledgement."""

    usage: dict[str, Usage]
    threads: Threads | None
    stolen: float
    timeouts: int


class Halt(msgspec.Struct, frozen=True, tag="halt"):
    """Stop processes with their children."""

    roots: tuple[int, ...]


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Let processes go on."""

    roots: tuple[int, ...]


class State(msgspec.Struct, frozen=True, tag="state"):
    """It is done; or why one could not be stopped."""

    refusal: str = ""


class Pin(msgspec.Struct, frozen=True, tag="pin"):
    """Keep processes with their children on some cores."""

    pids: tuple[int, ...]
    cores: tuple[int, ...]


class RoundTrip(msgspec.Struct, frozen=True, tag="round_trip"):
    """Measure the round trips from there."""

    database: str
    broker: Broker | None = None


class Took(msgspec.Struct, frozen=True, tag="took"):
    """The answer: medians, milliseconds, by what they lead to."""

    ms: dict[str, float]


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """Unasked: the agent is there."""


class Wrong(msgspec.Struct, frozen=True, tag="wrong"):
    """An answer: it failed, and why."""

    why: str


Question = Look | Tick | Begin | End | Halt | Resume | Pin | RoundTrip
Answer = Machine | Tock | Used | State | Took | Alive | Wrong
