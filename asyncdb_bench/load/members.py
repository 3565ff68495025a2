"""The workers of a set as its master sees them: who is let in, what came from each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
from gevent.event import Event
from locust.runners import STATE_MISSING, MasterRunner

from asyncdb_bench.clock import Asked, Offset
from asyncdb_bench.errors import BenchError
from asyncdb_bench.load import set_messages as say_to
from asyncdb_bench.load.set_messages import Session, challenge, is_answer, read

MOST_REFUSED = 20
"""So many different refusals are told in full."""


@dataclass
class Window:
    """What came from a worker for one window.

    Parameters
    ----------
    number : of the window.
    arrivals : that it is to offer; of a closed loop its connections.
    prepared, done, batches : what it has said.
    heard, gap_s : when it was last heard of, and the longest that it was not before `ends`.
    ended : when its last word came.
    ends : the window's end; all are monotonic seconds.
    """

    number: int
    arrivals: int = 0
    prepared: bool = False
    done: say_to.Done | None = None
    batches: list[Any] = field(default_factory=list)
    heard: float = field(default_factory=time.monotonic)
    gap_s: float = 0.0
    ended: float = 0.0
    ends: float = 0.0

    def hear(self) -> None:
        """Note that something came."""
        now = time.monotonic()
        # what it does afterwards takes as long as it takes
        self.gap_s = max(self.gap_s, min(now, self.ends) - self.heard)
        self.heard = now

    @property
    def complete(self) -> bool:
        """Whether all has come."""
        return self.done is not None and len(self.batches) == self.done.batches


class Member:
    """A worker that was let in.

    Parameters
    ----------
    client, name : by which Locust and people know it.
    identity, session : its own.
    """

    def __init__(self, client: str, name: str, identity: say_to.Identity, session: Session) -> None:
        self.client = client
        self.name = name
        self.identity = identity
        self.session = session
        self.configured: str | None = None
        self.window = Window(-1)
        self.pongs: list[Asked] = []
        self.offset = Offset(0, 0)

    def take(self, body: Any) -> None:
        """Take in what it says."""
        window = self.window
        if isinstance(body, say_to.Pong):
            self.pongs.append(Asked(body.sent_ns, body.there_ns, time.monotonic_ns()))
        elif isinstance(body, say_to.Configured):
            self.configured = body.problem
        elif getattr(body, "window", None) == window.number:
            window.hear()
            if isinstance(body, say_to.Prepared):
                window.prepared = True
            elif isinstance(body, say_to.Records):
                window.batches.append(read(body.batch))
            elif isinstance(body, say_to.Done):
                window.done, window.ended = body, time.monotonic()


class Members:
    """The workers of a set.

    Parameters
    ----------
    runner : Locust's master.
    token : that they must know.
    here : the master's own identity.

    Attributes
    ----------
    news : set when something has come from one of them.
    """

    def __init__(self, runner: MasterRunner, token: str, here: say_to.Identity) -> None:
        self.runner = runner
        self.token = token
        self.here = here
        self.all: dict[str, Member] = {}
        self.refused: list[str] = []
        self.news = Event()
        self._asked: dict[str, bytes] = {}
        self._count = 0
        runner.register_message(say_to.KNOCK, self._knocked)
        runner.register_message(say_to.HELLO, self._greeted)
        runner.register_message(say_to.SEALED, self._received)

    def alive(self) -> list[Member]:
        """Return those that Locust still hears of, in the order in which they came."""
        clients = self.runner.clients
        return [
            member
            for client, member in self.all.items()
            if client in clients and clients[client].state != STATE_MISSING
        ]

    def forget_lost(self) -> None:
        """Drop those that are gone."""
        self.all = {member.client: member for member in self.alive()}

    def send(self, member: Member, body: Any) -> None:
        """Send a message to a worker."""
        data = member.session.sealed(say_to.packed(body))
        self.runner.send_message(say_to.SEALED, data, member.client)

    def _knocked(self, environment: Any, msg: Any, **_: Any) -> None:
        asked = self._asked[msg.node_id] = challenge()
        self.runner.send_message(say_to.CHALLENGE, {"challenge": asked}, msg.node_id)

    def _greeted(self, environment: Any, msg: Any, **_: Any) -> None:
        client = str(msg.node_id)
        asked = self._asked.pop(client, None)
        try:
            own, given = bytes(msg.data["own"]), bytes(msg.data["answer"])
            identity = msgspec.msgpack.decode(msg.data["identity"], type=say_to.Identity)
        except (TypeError, KeyError, ValueError):
            return
        if asked is None or client in self.all:
            return
        if not is_answer(self.token, asked, own, client, given):
            self._refuse(client, identity, "its token is not the run's")
        elif problem := say_to.unlike(self.here, identity):
            self._refuse(client, identity, problem)
        else:
            session = Session(self.token, asked, own, client, master=True)
            member = Member(client, f"w{self._count}", identity, session)
            self._count += 1
            self.all[client] = member
            self.news.set()
            self.send(member, say_to.Ping(time.monotonic_ns()))

    def _refuse(self, client: str, identity: say_to.Identity, why: str) -> None:
        words = f"a load worker on {identity.host[:60]} was refused: {why}"
        if words not in self.refused and len(self.refused) < MOST_REFUSED:
            self.refused.append(words)
        self.runner.send_message(say_to.REFUSED, {"why": why}, client)

    def _received(self, environment: Any, msg: Any, **_: Any) -> None:
        member = self.all.get(str(msg.node_id))
        if member is None:
            return
        try:
            body = say_to.unpacked(member.session.opened(msg.data))
            member.take(body)
            self.news.set()
        except (BenchError, ValueError):
            # whoever wrote that is not the worker
            return
        if isinstance(body, say_to.Records):
            self.send(member, say_to.Taken(body.window))
