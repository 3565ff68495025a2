"""What load processes have in common: their orders, their user, their sockets, their answer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
from collections.abc import Callable
from typing import Any

import gevent
import gevent.os
import zmq
from gevent.queue import Queue
from locust.rpc import zmqrpc
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from asyncdb_bench.load.chat import ChatUser
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.load.user import OpenModelUser
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.messages import LoadConfig, StepReply


class Orders:
    """Lines of standard input, read without blocking the hub."""

    def __init__(self) -> None:
        self.lines: Any = Queue()
        gevent.spawn(self._read)

    def _read(self) -> None:
        rest = b""
        while data := gevent.os.tp_read(0, 65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.lines.put(line)
        self.ended()

    def ended(self) -> None:
        """End the process: the parent is gone."""
        os._exit(0)

    def next(self) -> bytes:
        """Wait for the next line."""
        line: bytes = self.lines.get()
        return line


def raise_file_limit() -> None:
    """Let this process have as many sockets as its account may: each waiting client has one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def user_class(config: LoadConfig) -> type[OpenModelUser]:
    """Return the Locust user of this scenario and target."""
    chosen = make_scenario(config.scenario, config.scenario_knobs)
    others = {each.label: make_scenario(each.scenario, each.knobs) for each in config.further}
    named = {config.label: chosen} | others
    base = ChatUser if chosen.websocket else OpenModelUser

    class HarnessUser(base):  # type: ignore[valid-type, misc]
        abstract = True
        scenario = chosen
        scenarios = named
        operations = chosen.workload().operations
        address = (config.host, config.port)
        timeout_s = config.timeout_s
        outstanding = config.outstanding

    return HarnessUser


SALT = b"asyncdb-bench load"
REFUSALS = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


def secure(token: str, *, master: bool, on_refused: Callable[[], None]) -> None:
    """Have Locust's sockets of this process connect with those alone who know the token.

    Locust takes whoever connects. With CurveZMQ (RFC 26 of ZeroMQ) who does not know the token gets
    no connection, and cannot read or repeat what is said on one.
    The key pair is made of the token, slowly, so that guesses are dear; it is the master's, and its
    public half is as secret as the other.

    Parameters
    ----------
    token : of the run.
    master : whether this process is the one that the others connect to.
    on_refused : called for each connection that did not come about.
    """
    made = hashlib.scrypt(token.encode(), salt=SALT, n=2**14, r=8, p=1, dklen=32)
    secret = z85.encode(made)
    public = zmq.curve_public(secret)
    plain: Any = zmqrpc.BaseSocket.__init__

    def make(self: Any, *arguments: Any) -> None:
        plain(self, *arguments)
        self.socket.curve_secretkey, self.socket.curve_publickey = secret, public
        if master:
            self.socket.curve_server = True
        else:
            self.socket.curve_serverkey = public
        gevent.spawn(tell, self.socket.get_monitor_socket(REFUSALS))

    def tell(events: Any) -> None:
        while True:
            recv_monitor_message(events)
            on_refused()

    zmqrpc.BaseSocket.__init__ = make  # type: ignore[method-assign]


def reply_of(record: Recorder, started_ns: int, counted: int, opened: int) -> StepReply:
    """Return what a load process says of a step.

    Parameters
    ----------
    record, started_ns : of the step.
    counted : requests that Locust itself saw.
    opened : connections that it has opened so far.
    """
    return StepReply(
        started_ns=started_ns,
        ledger=record.ledger(),
        attempted=record.attempted,
        locust_count=counted,
        wrong_answers=record.wrong_answers,
        errors=dict(record.errors),
        cpu_s=record.cpu_s,
        connections=opened,
        rows=record.rows,
        transactions=record.transactions,
        reads=record.reads,
        late=record.late,
        joined=int(record.extra["joined"][0]) if record.extra else 0,
        bytes_sent=record.bytes_sent,
        bytes_received=record.bytes_received,
    )
