"""What the load's master and its workers say to one another, inside Locust's messages."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import numpy as np

from asyncdb_bench.records.messages import PROTOCOL, LoadConfig, StepReply
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench_attach import __version__

TYPE = "asyncdb"
"""Of Locust's messages that carry ours."""
STRANGER = "its token is not the run's"


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """Worker: let me in.

    Parameters
    ----------
    version, protocol, python, numpy : of what it runs; all draw the same arrivals.
    host, child : what its machine is called, and its number among the harness's children.
    """

    host: str
    child: int = 0
    version: str = __version__
    protocol: int = PROTOCOL
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"
    numpy: str = np.__version__


def unlike(one: Hello, other: Hello) -> str:
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
        ("NumPy", one.numpy, other.numpy),
    ):
        if mine != its:
            return f"it runs {name} {its}, the harness {mine}: install the same there"
    return ""


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """Master: you are let in; or why not."""

    refusal: str = ""


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
    """

    window: int
    order: LoadOrder
    worker: int
    workers: int


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """Worker: the window's requests are made."""

    window: int


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Master: read your clock."""

    number: int


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Worker: what the clock read."""

    number: int
    there_ns: int


class Go(msgspec.Struct, frozen=True, tag="go"):
    """Master: begin when your clock reads that."""

    start_ns: int


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Worker: it is there, while a window goes on."""

    window: int


class Done(msgspec.Struct, frozen=True, tag="done", kw_only=True):
    """Worker: a window's figures.

    Parameters
    ----------
    window : its number.
    reply : as of a load that is alone.
    records : what that writes into a file, compressed (zlib); times are on the worker's clock.
    late_ns : by how much it began after the agreed moment.
    served_ns : from its start until it waited for no more answers.
    send_lag_p50_us : median of its send lags; None: it sent nothing.
    """

    window: int
    reply: StepReply
    records: bytes
    late_ns: int
    served_ns: int
    send_lag_p50_us: float | None


Body = (
    Hello | Welcome | Configure | Configured | Prepare | Prepared | Ping | Pong | Go | Beat | Done
)


def packed(body: Body) -> dict[str, Any]:
    """Return a message as the data of one of Locust's."""
    return {"body": msgspec.msgpack.encode(body)}


def unpacked(data: dict[str, Any]) -> Body:
    """Return the message in the data of one of Locust's."""
    body: Body = msgspec.msgpack.decode(data["body"], type=Body)
    return body
