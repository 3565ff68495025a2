"""The workers of a set as its master sees them: who is let in, what came from each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gevent.event import AsyncResult, Event
from locust.runners import STATE_MISSING, MasterRunner

from asyncdb_bench.clock import Offset
from asyncdb_bench.load import set_messages as m
from asyncdb_bench.load.merging import Window

MOST_REFUSED = 20
"""So many different refusals are told in full."""


class Member:
    """A worker that was let in.

    Parameters
    ----------
    client, name : by which Locust and people know it.
    hello : what it has said of itself.
    send : sends it a message.
    """

    def __init__(
        self, client: str, name: str, hello: m.Hello, send: Callable[[m.Body], None]
    ) -> None:
        self.client = client
        self.name = name
        self.host, self.child = hello.host, hello.child
        self.send = send
        self.configured: str | None = None
        self.window = Window(-1)
        self.offset = Offset(0, 0)
        self._pings = 0
        self._there_ns: AsyncResult[int] = AsyncResult()

    def __str__(self) -> str:
        return f"load worker {self.name} on {self.host}"

    def read_clock(self, timeout_s: float) -> int:
        """Return what its clock reads, nanoseconds.

        Raises
        ------
        gevent.Timeout : it does not answer.
        """
        self._pings, self._there_ns = self._pings + 1, AsyncResult()
        self.send(m.Ping(self._pings))
        return int(self._there_ns.get(timeout=timeout_s))

    def take(self, body: m.Body) -> None:
        """Take in what it says."""
        if isinstance(body, m.Pong):
            if body.number == self._pings:
                self._there_ns.set(body.there_ns)
        elif isinstance(body, m.Configured):
            self.configured = body.problem
        elif isinstance(body, m.Prepared | m.Beat | m.Done) and body.window == self.window.number:
            self.window.take(body)


class Members:
    """The workers of a set.

    Parameters
    ----------
    runner : Locust's master.

    Attributes
    ----------
    news : set when something has come from one of them.
    """

    def __init__(self, runner: MasterRunner) -> None:
        self.runner = runner
        self.all: dict[str, Member] = {}
        self.refused: list[str] = []
        self.news = Event()
        self._count = 0
        runner.register_message(m.TYPE, self._receive)

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

    def forget_children(self, ended: Sequence[int]) -> None:
        """Drop children of the harness that have ended, which Locust misses seconds later."""
        self.all = {name: each for name, each in self.all.items() if each.child not in ended}

    def refuse(self, words: str) -> None:
        """Note that somebody was not let in."""
        if words not in self.refused and len(self.refused) < MOST_REFUSED:
            self.refused.append(words)

    def _receive(self, environment: Any, msg: Any, **_: Any) -> None:
        client, body = str(msg.node_id), m.unpacked(msg.data)
        if isinstance(body, m.Hello):
            self._let_in(client, body)
        elif client in self.all:
            self.all[client].take(body)
        self.news.set()

    def _let_in(self, client: str, hello: m.Hello) -> None:
        send = partial(self._send, client)
        if problem := m.unlike(m.Hello(host=""), hello):
            self.refuse(f"a load worker on {hello.host[:60]} was refused: {problem}")
        else:
            self.all[client] = Member(client, f"w{self._count}", hello, send)
            self._count += 1
        send(m.Welcome(problem))

    def _send(self, client: str, body: m.Body) -> None:
        self.runner.send_message(m.TYPE, m.packed(body), client)
