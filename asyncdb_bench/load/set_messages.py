"""What the load's master and its workers say to one another, inside Locust's messages."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import msgspec

from asyncdb_bench import clock
from asyncdb_bench.records.messages import PROTOCOL, LoadConfig, StepReply
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench_attach import __version__

KNOCK = "asyncdb-knock"
CHALLENGE = "asyncdb-challenge"
HELLO = "asyncdb-hello"
REFUSED = "asyncdb-refused"
SEALED = "asyncdb"
"""Types of Locust's messages; all but the last are said before a session has begun."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a worker is.

    Parameters
    ----------
    version, protocol, python : of what it runs.
    host, pid : where.
    clock : that it reads.
    """

    version: str
    protocol: int
    python: str
    host: str
    pid: int
    clock: str


def own_identity(host: str, pid: int) -> Identity:
    """Return the identity of this process."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Identity(
        version=__version__,
        protocol=PROTOCOL,
        python=python,
        host=host,
        pid=pid,
        clock=clock.identity(),
    )


def unlike(one: Identity, other: Identity) -> str:
    """Say why two processes cannot measure together; empty: they can.

    Parameters
    ----------
    one : the master.
    other : the worker.
    """
    for name, mine, its in (
        ("asyncdb-bench", one.version, other.version),
        ("protocol", one.protocol, other.protocol),
        ("Python", one.python, other.python),
    ):
        if mine != its:
            return f"it runs {name} {its}, the harness {mine}: install the same there"
    return ""


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """Master: ask this scenario's operations from now on."""

    config: LoadConfig


class Configured(msgspec.Struct, frozen=True, tag="configured"):
    """Worker: done; or why not."""

    problem: str = ""


class Prepare(msgspec.Struct, frozen=True, tag="prepare", kw_only=True):
    """Master: make a window's requests.

    Parameters
    ----------
    window : its number.
    order : what is offered.
    worker, workers : whose part this is, and of how many.
    names, intended, chosen, places : the arrivals (int64), see :class:`StepPlan`, and their places
        in the whole plan; None for a closed loop.
    """

    window: int
    order: LoadOrder
    worker: int
    workers: int
    names: list[str] = []
    intended: bytes | None = None
    chosen: bytes = b""
    places: bytes = b""


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """Worker: the window's requests are made."""

    window: int


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Master: read your clock."""

    sent_ns: int


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Worker: what the clock read."""

    sent_ns: int
    there_ns: int


class Go(msgspec.Struct, frozen=True, tag="go"):
    """Master: begin when your clock reads that."""

    window: int
    start_ns: int


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Worker: it is there, while a window goes on."""

    window: int


class Records(msgspec.Struct, frozen=True, tag="records"):
    """Worker: some of a window's records, an Arrow batch."""

    window: int
    index: int
    batch: bytes


class Taken(msgspec.Struct, frozen=True, tag="taken"):
    """Master: a batch has come; send another."""

    window: int


class Done(msgspec.Struct, frozen=True, tag="done", kw_only=True):
    """Worker: a window's figures.

    Parameters
    ----------
    window : its number.
    reply : as of a load that is alone.
    batches : how many it has sent.
    probes : intended start from the step's start and latency, ns, int64 in pairs.
    late_ns : by how much it began after the agreed moment.
    served_ns : from its start until it waited for no more answers.
    send_lag_p50_us : median of its send lags; None: it sent nothing.
    """

    window: int
    reply: StepReply
    batches: int
    probes: bytes
    late_ns: int
    served_ns: int
    send_lag_p50_us: float | None


Body = (
    Configure | Configured | Prepare | Prepared | Ping | Pong | Go | Beat | Records | Taken | Done
)
T = TypeVar("T")


def packed(body: Any) -> bytes:
    """Return a message's bytes."""
    return msgspec.msgpack.encode(body)


def unpacked(data: bytes) -> Body:
    """Return a message.

    Raises
    ------
    ValueError : it is none.
    """
    body: Body = msgspec.msgpack.decode(data, type=Body)
    return body
