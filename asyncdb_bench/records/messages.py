"""What our processes say to one another: lines of JSON over standard input and output.

The harness sends a configuration first, then orders; the process answers each with one line. The
first answer is :class:`Ready` or :class:`Failed`. Every configuration and every :class:`Ready`
carries :data:`PROTOCOL`; a process of another checkout may speak an earlier one.
History: 2, the first that says its version; 3, one process serves several scenarios.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from asyncdb_bench.errors import SaidFailedError, ServiceError, UsageError
from asyncdb_bench.records.plan import Broker, Fault, LoadOrder, Variant
from asyncdb_bench.records.step import HEARTBEAT_US, Ledger, LoadWorker

PROTOCOL = 3
DOOR = 1
"""Version of :class:`Describe` and :class:`Description`."""
SPOKEN = (2, 3)
"""Protocols of other checkouts that this one understands."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What every process of ours is started with: the version that the harness speaks."""

    protocol: int = 2


SHARES = 3
"""From this protocol on a process serves several scenarios."""


class Asked(msgspec.Struct, frozen=True):
    """A scenario with its knobs, by which `label` it is asked for."""

    label: str
    scenario: str
    knobs: dict[str, Any]


class WorkConfig(Config, frozen=True, kw_only=True):
    """What the application and its workers run.

    Parameters
    ----------
    scenario, scenario_knobs : whose operations.
    further : other scenarios on the same data, whose operations are served, too.
    database_url : ``postgresql://…`` without a driver.
    queue : name of the task queue, unique to the trial.
    timeout_s : after how long the application gives up a request.
    broker, store : the broker, and a Redis for results, where they are needed.
    fault : injected; None: none.
    worker_clock_differs : whether workers read another clock than the application.
    """

    scenario: str
    scenario_knobs: dict[str, Any]
    further: tuple[Asked, ...] = ()
    database_url: str
    queue: str
    timeout_s: float
    broker: Broker | None = None
    store: Broker | None = None
    fault: Fault | None = None
    worker_clock_differs: bool = False


class AppConfig(WorkConfig, frozen=True, kw_only=True):
    """What the application is started with.

    Parameters
    ----------
    strategy, knobs : of this process: its share where several share a port.
    host, port : where it listens; port 0 takes a free one.
    reuse_port : whether other processes listen on the same port.
    uvloop, gc_freeze : knobs of the application itself.
    drain_s : how long it answers what is under way when it is told to end.
    """

    strategy: str
    knobs: dict[str, Any]
    host: str = "127.0.0.1"
    port: int = 0
    reuse_port: bool = False
    uvloop: bool = False
    gc_freeze: bool = True
    drain_s: float = 0.0


class WorkerConfig(WorkConfig, frozen=True, kw_only=True):
    """What an extra process of a strategy is started with; `part` are its own options."""

    part: dict[str, Any]


class LoadConfig(Config, frozen=True, kw_only=True):
    """What the load is started with.

    Parameters
    ----------
    host, port : of the application.
    scenario, scenario_knobs, label : what to ask for where an order does not say.
    further : what else orders may name.
    timeout_s : after how long the client gives up an answer.
    outstanding : requests under way at most.
    """

    host: str
    port: int
    scenario: str
    scenario_knobs: dict[str, Any]
    label: str = ""
    further: tuple[Asked, ...] = ()
    timeout_s: float
    outstanding: int


class LoadSetConfig(Config, frozen=True, kw_only=True):
    """What the master of several load workers is started with.

    Parameters
    ----------
    token : that workers must know.
    bind, port : where it listens for workers; port 0 takes a free one.
    web_port : of Locust's own page on loopback; -1: none.
    """

    token: str
    bind: str = "127.0.0.1"
    port: int = 0
    web_port: int = -1


class LoadWorkerConfig(Config, frozen=True, kw_only=True):
    """What a load worker is started with.

    Parameters
    ----------
    host, port : of the master.
    token : that the master must know, too.
    wait_s : how long it looks for a master.
    machine : what its machine is called in results; empty: by its name in the network.
    child : its number among those that the harness started; 0: it is not one of them.
    """

    host: str
    port: int
    token: str
    wait_s: float = 60.0
    machine: str = ""
    child: int = 0


class NullConfig(Config, frozen=True, kw_only=True):
    """What the null server is started with: the distribution of its delays.

    Parameters
    ----------
    kind : ``"constant"`` (every one `ms`), ``"uniform"`` (half to one and a half times `ms`) or
        ``"tail"`` (`ms`, and for 1 % of the requests ten times as much).
    ms : milliseconds.
    count : how many are drawn; the server begins anew after the last.
    """

    kind: str = "constant"
    ms: float = 0.0
    count: int = 1


class Mark(msgspec.Struct, frozen=True, tag_field="do", tag="mark"):
    """Order: tell what was noted since the last time, and begin anew."""


class Offer(msgspec.Struct, frozen=True, tag_field="do", tag="step"):
    """Order to the load: offer a step, and write its columns to `file`; empty: nowhere."""

    step: LoadOrder
    file: str = ""


class Gather(msgspec.Struct, frozen=True, tag_field="do", tag="gather"):
    """Order to the master of load workers: tell which are there, but for children that ended."""

    ended: tuple[int, ...] = ()


class Stop(msgspec.Struct, frozen=True, tag_field="do", tag="stop"):
    """Order: end."""


Order = Mark | Offer | Gather | Stop


class Ready(msgspec.Struct, frozen=True, tag_field="event", tag="ready"):
    """A process is ready; `port` is where it listens, 0 where it does not."""

    pid: int = 0
    port: int = 0
    protocol: int = 2


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """A process cannot start, and why."""

    message: str


class Heartbeats(msgspec.Struct, frozen=True, tag_field="event", tag="heartbeats"):
    """What an application noted since it was asked last.

    Parameters
    ----------
    at_us, lag_us : one entry per beat: when it was due on CLOCK_MONOTONIC, and how late it came.
    gauges : rows of a time (``at_us``) and values by name.
    every_us : microseconds between beats.
    """

    at_us: list[int] = []
    lag_us: list[int] = []
    gauges: list[dict[str, float]] = []
    every_us: int = HEARTBEAT_US


class Anew(msgspec.Struct, frozen=True, tag_field="event", tag="anew"):
    """The null server draws its delays from the start again."""


class Gathered(msgspec.Struct, frozen=True, tag_field="event", tag="gathered"):
    """Which load workers there are.

    Parameters
    ----------
    workers : that may offer load, by name and host.
    refused : who was not let in, and why.
    """

    workers: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class StepReply(msgspec.Struct, frozen=True, tag_field="event", tag="step", kw_only=True):
    """What the load says of a step.

    Parameters
    ----------
    started_ns : the step's start on CLOCK_MONOTONIC.
    ledger : where the arrivals went.
    attempted, locust_count : requests that our recorder and that Locust itself saw.
    wrong_answers : answers that failed their operation's check.
    errors : failures by reason.
    cpu_s : CPU time of the load.
    connections : that it has opened so far.
    rows : that the right answers say the database returned or changed.
    transactions : that the right answers may have taken at most.
    reads : of the right answers those of operations that only read.
    late : requests that the load asked so late that they were not offered when they should.
    joined : members of a chat who joined before the step.
    bytes_sent, bytes_received : by the client.
    workers : of several load processes each; empty: there is one.
    lost : what befell workers meanwhile, so that the step says nothing.
    """

    started_ns: int
    ledger: Ledger
    attempted: int
    locust_count: int
    wrong_answers: int
    errors: dict[str, int]
    cpu_s: float
    connections: int
    rows: int
    joined: int
    bytes_sent: int
    bytes_received: int
    transactions: int = 0
    reads: int = 0
    late: int = 0
    workers: tuple[LoadWorker, ...] = ()
    lost: tuple[str, ...] = ()


class Describe(msgspec.Struct, frozen=True):
    """Asked of another checkout: what a request for a variant comes to there.

    Parameters
    ----------
    name, knobs : of the strategy, knob values as text.
    budget : database connections that each strategy may use.
    version : of this question and its answer, :data:`DOOR`.
    """

    name: str
    knobs: dict[str, str]
    budget: int
    version: int = DOOR


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: the variant, the protocol of its processes, and what checkout that is."""

    version: int
    protocol: int
    variant: Variant
    git: dict[str, Any]
    versions: dict[str, str]


T = TypeVar("T", bound=msgspec.Struct)


class _Failure(msgspec.Struct):
    event: str = ""
    message: str = ""


def encoded(message: msgspec.Struct, protocol: int = PROTOCOL) -> bytes:
    """Return a message as a line; a configuration says which protocol is spoken.

    Parameters
    ----------
    message : to a process, or from one.
    protocol : that the process speaks.
    """
    if isinstance(message, Config):
        message = msgspec.structs.replace(message, protocol=protocol)
    return msgspec.json.encode(message) + b"\n"


def decoded_order(line: bytes) -> Order:
    """Return an order to a process."""
    order: Order = msgspec.json.decode(line, type=Order)
    return order


class _Kind(msgspec.Struct):
    do: str = ""


def is_order(line: bytes) -> bool:
    """Return whether a line is an order, and no configuration."""
    return bool(msgspec.json.decode(line, type=_Kind).do)


def decoded_config(line: bytes, kind: type[T]) -> T:
    """Return the configuration that a process was started with.

    Raises
    ------
    UsageError : it is not one, or was written by a harness of another protocol.
    """
    try:
        said = msgspec.json.decode(line, type=Config).protocol
        if said not in SPOKEN:
            raise UsageError(f"the harness speaks protocol {said}, {_spoken()}: update it")
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        raise UsageError(f"no configuration on standard input: {error}") from error


def decoded_reply(line: bytes, kind: type[T], name: str) -> T | None:
    """Return a process's answer; None where the line is not a message at all.

    Parameters
    ----------
    line : of its standard output, on which a library may print, too.
    kind : the answer that is due.
    name : what messages call the process.

    Raises
    ------
    ServiceError : it says that it failed, answers something else, or speaks another protocol.
    """
    try:
        failure = msgspec.json.decode(line, type=_Failure)
    except msgspec.DecodeError:
        return None
    if failure.event == "failed":
        raise SaidFailedError(f"{name}: {failure.message}")
    try:
        message = msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        raise ServiceError(f"{name} answered something else: {error}") from error
    if isinstance(message, Ready) and message.protocol not in SPOKEN:
        raise ServiceError(f"{name} speaks protocol {message.protocol}, {_spoken()}: update it")
    return message


def _spoken() -> str:
    return f"this checkout {SPOKEN[0]} to {SPOKEN[-1]}"


def say(message: msgspec.Struct) -> None:
    """Write a message to the parent, whole, from whichever thread."""
    if isinstance(message, Ready):
        message = msgspec.structs.replace(message, protocol=PROTOCOL)
    line = encoded(message)
    while line:
        line = line[os.write(1, line) :]


def read_line() -> bytes:
    """Read one line from standard input without a buffer; empty at its end.

    A thread that waits in a buffered read holds its lock, which the interpreter needs to end.
    """
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line


LAST_WORD_S = 3.0


def answer_marks(mark: Callable[[], msgspec.Struct], stop: Callable[[], None]) -> None:
    """Answer every :class:`Mark` on standard input, and stop at its end or at another order.

    In a thread of its own, since a loop that a strategy blocks could not answer.

    Parameters
    ----------
    mark : makes the answer.
    stop : called on the running loop; when the process goes on all the same, it is ended.
    """
    loop = asyncio.get_running_loop()

    def listen() -> None:
        while (line := read_line()) and isinstance(decoded_order(line), Mark):
            say(mark())
        loop.call_soon_threadsafe(stop)
        # a loop that is stuck in a database call would never stop by itself
        time.sleep(LAST_WORD_S)
        os._exit(1)

    threading.Thread(target=listen, name="control", daemon=True).start()
