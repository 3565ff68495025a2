"""What the load's master and its workers say to one another, inside Locust's messages.

Locust takes whoever connects. A worker is let in when it answers the master's random challenge with
an HMAC under the token (RFC 2104), which itself is never sent; all messages after that carry an
HMAC under the session's own key, and a number that only rises, so that none can be repeated.

Times travel in nanoseconds from the worker's own start of the step. Put behind the master's start
they read as on its clock, and no duration is made of two clocks.
"""

from __future__ import annotations

import hmac
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asyncdb_bench import clock
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.records.messages import PROTOCOL, LoadConfig, StepReply
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.records.step import Outcome
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


DIGEST = "sha256"


class ForgedError(ServiceError):
    """A message was not written by the other end of its session."""


def challenge() -> bytes:
    """Return a random challenge."""
    return secrets.token_bytes(16)


def answer(token: str, asked: bytes, own: bytes, name: str) -> bytes:
    """Return what proves that its writer knows the token.

    Parameters
    ----------
    token : shared by master and workers.
    asked, own : the master's challenge and the worker's.
    name : by which Locust knows the worker.
    """
    return hmac.digest(token.encode(), b"worker" + asked + own + name.encode(), DIGEST)


def is_answer(token: str, asked: bytes, own: bytes, name: str, given: bytes) -> bool:
    """Return whether an answer is right; parameters as of :func:`answer`."""
    return hmac.compare_digest(answer(token, asked, own, name), given)


class Session:
    """One end of a session.

    Parameters
    ----------
    token, asked, own, name : see :func:`answer`.
    master : whether it is the master's end.
    """

    def __init__(self, token: str, asked: bytes, own: bytes, name: str, *, master: bool) -> None:
        self._key = hmac.digest(token.encode(), b"session" + asked + own + name.encode(), DIGEST)
        self._sends, self._receives = (b"m", b"w") if master else (b"w", b"m")
        self._sent = 0
        self._received = 0

    def sealed(self, body: bytes) -> dict[str, object]:
        """Return a message's data, for Locust to send."""
        self._sent += 1
        return {"n": self._sent, "body": body, "mac": self._mac(self._sends, self._sent, body)}

    def opened(self, data: object) -> bytes:
        """Return the body of a message that was received.

        Raises
        ------
        ForgedError : it is not the other end's, or was received before.
        """
        if not isinstance(data, dict):
            raise ForgedError("a message without a seal")
        number, body, mac = data.get("n"), data.get("body"), data.get("mac")
        if not isinstance(number, int) or not isinstance(body, bytes) or not isinstance(mac, bytes):
            raise ForgedError("a message without a seal")
        if not hmac.compare_digest(self._mac(self._receives, number, body), mac):
            raise ForgedError("a message whose seal is wrong")
        if number <= self._received:
            raise ForgedError("a message that was sent before")
        self._received = number
        return body

    def _mac(self, direction: bytes, number: int, body: bytes) -> bytes:
        return hmac.digest(self._key, direction + number.to_bytes(8, "big") + body, DIGEST)


ROWS = 20_000
"""Of a batch: some 600 kB packed."""
INSTANTS = ("sent_ns", "done_ns", "published_ns", "received_ns", "started_ns")
NEVER = np.iinfo(np.int64).min
"""Stands for a time that is not known."""
PLACE = "place"
"""Column of each request's place in the plan."""


def batches(
    columns: Mapping[str, NDArray[Any]], places: NDArray[np.int64], started_ns: int
) -> Iterator[bytes]:
    """Yield a step's records as Arrow IPC streams of one batch each, packed.

    Parameters
    ----------
    columns : of :meth:`Recorder.columns`, shape (n,) each; times on the worker's clock, 0: none.
    places : of the requests in the plan, shape (n,).
    started_ns : the worker's start of the step on its own clock.
    """
    sent: dict[str, Any] = {PLACE: places}
    for name, values in columns.items():
        known = values
        if name == "intended_ns":
            known = values - started_ns
        elif name in INSTANTS:
            known = np.where(values == 0, NEVER, values - started_ns)
        sent[name] = known
    batch = pa.RecordBatch.from_pydict(sent)
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    for first in range(0, batch.num_rows, ROWS):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
            writer.write_batch(batch.slice(first, ROWS))
        yield sink.getvalue().to_pybytes()


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """Return a batch's columns.

    Raises
    ------
    ValueError : it is none.
    """
    try:
        with pa.ipc.open_stream(data, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
            batch = reader.read_next_batch()
    except (pa.ArrowInvalid, StopIteration, OSError) as error:
        raise ValueError(f"no Arrow batch: {error}") from error
    return {name: batch.column(name).to_numpy() for name in batch.schema.names}


def whole(
    parts: Sequence[Sequence[Mapping[str, NDArray[Any]]]],
    intended_ns: NDArray[np.int64] | None,
    chosen: NDArray[np.int64] | None,
    started_ns: int,
) -> dict[str, NDArray[Any]]:
    """Return a step's columns from those of its workers, in the order of intended arrivals.

    Parameters
    ----------
    parts : of each worker its batches, see :func:`read`.
    intended_ns, chosen : of the plan; None for a closed loop, which has none. An arrival of which
        no worker told is undrained.
    started_ns : the step's start on the master's clock.
    """
    flat = [batch for worker in parts for batch in worker]
    if intended_ns is None or chosen is None:
        flat = flat or [empty()]
        merged = {name: np.concatenate([each[name] for each in flat]) for name in flat[0]}
        order = np.argsort(merged["intended_ns"], kind="stable")
        columns = {name: values[order] for name, values in merged.items() if name != PLACE}
    else:
        columns = empty(len(intended_ns))
        for each in flat:
            places = each[PLACE]
            for name, values in each.items():
                if name in columns:
                    columns[name][places] = values
        columns["intended_ns"] = intended_ns.copy()
        columns["operation"] = chosen.astype(np.int8)
    columns["intended_ns"] += started_ns
    for name in INSTANTS:
        values = columns[name]
        columns[name] = np.where(values == NEVER, 0, values + started_ns)
    return columns


def empty(count: int = 0) -> dict[str, NDArray[Any]]:
    """Return the columns of so many arrivals of which nothing is known."""
    columns: dict[str, NDArray[Any]] = {
        f"{name}_us": np.full(count, -1, np.int64)
        for name in ("arrival", "queue", "pool", "database", "python", "reply", "back", "held")
    }
    columns["run_us"] = np.full(count, -1, np.int64)
    columns |= {name: np.full(count, NEVER, np.int64) for name in INSTANTS}
    columns["intended_ns"] = np.zeros(count, np.int64)
    columns["status"] = np.zeros(count, np.int16)
    columns["outcome"] = np.full(count, Outcome.UNDRAINED, np.int8)
    columns["operation"] = np.zeros(count, np.int8)
    return columns
