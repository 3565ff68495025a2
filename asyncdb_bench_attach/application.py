"""What is added to an application: ``Server-Timing`` on its answers, a path that tells loop lag."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
from array import array
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from asyncdb_bench_attach.timing import HEADER, Phases, Sample

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders, HTTPServerRequest
    from tornado.web import Application

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

PATH = "/.well-known/asyncdb-bench"
EVERY_US = 4000
"""A beat of a millisecond took 2 to 5 % of a core of somebody's application."""
GAUGES_EVERY = 50
MOST_S = 120
"""How long it beats while no one takes what it noted."""


class Beating:
    """Beats on the loop and notes lateness in microseconds.

    Beats missed during a stall are not noted one by one: the lateness of the next one says it.

    Parameters
    ----------
    gauges : read every 50 beats, e.g. the depth of a hidden queue.
    most_s : how long beats are kept until they are taken, seconds; 0: always.
    every_us : microseconds between beats.
    """

    def __init__(
        self,
        gauges: Callable[[], dict[str, float]] = dict,
        most_s: int = MOST_S,
        every_us: int = EVERY_US,
    ) -> None:
        self._gauges = gauges
        self._most = most_s * 1_000_000 // every_us
        self.every_us = every_us
        self._lag_us = array("q")
        self._rows: list[dict[str, float]] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start to beat on the running loop."""
        self.loop = asyncio.get_running_loop()
        self._first_us = self._due_us = monotonic_ns() // 1000 + self.every_us
        self.loop.call_later(self.every_us / 1e6, self._beat, self.loop)

    def take(self) -> tuple[list[int], list[int], list[dict[str, float]]]:
        """Return what was noted since the last call, and start anew.

        Returns
        -------
        When each beat was due on CLOCK_MONOTONIC, how late it came, both in microseconds, and rows
        of a time and values by name.
        """
        # Called from another thread than the loop's: what is noted meanwhile stays at the end.
        beats, readings = len(self._lag_us), len(self._rows)
        lag_us, rows = self._lag_us[:beats].tolist(), self._rows[:readings]
        del self._lag_us[:beats], self._rows[:readings]
        at_us, due = self._first_us, []
        for lag in lag_us:
            due.append(at_us)
            at_us += self.every_us * (1 + lag // self.every_us)
        self._first_us = at_us
        return due, lag_us, rows

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now_us = monotonic_ns() // 1000
        lag_us = max(0, now_us - self._due_us)
        self._lag_us.append(lag_us)
        self._due_us += self.every_us * (1 + lag_us // self.every_us)
        if len(self._lag_us) % GAUGES_EVERY == 0:
            self._rows.append({"at_us": now_us, **self._gauges()})
        if self._most and len(self._lag_us) >= self._most:
            self.loop = None
            return
        loop.call_later((self._due_us - now_us) / 1e6, self._beat, loop)


class OwnHeartbeat:
    """Beats in the application's loop from the first question on, and answers with what it noted.

    While no one asks it stops by itself: what it notes is bounded.
    """

    def __init__(self) -> None:
        self._beating = Beating()

    def answer(self) -> bytes:
        """Return what was noted since the last question, as JSON."""
        if self._beating.loop is not asyncio.get_running_loop():
            self._beating = Beating()
            self._beating.start()
        at_us, lag_us, _ = self._beating.take()
        told = {"pid": os.getpid(), "at_us": at_us, "lag_us": lag_us, "every_us": EVERY_US}
        return json.dumps(told, separators=(",", ":")).encode()


def is_local(address: str | None) -> bool:
    """Return whether a client is of this machine.

    Parameters
    ----------
    address : the client's; None or a path: a socket of this machine's file system.
    """
    if not address or address.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def attach_asgi(application: Any) -> Any:
    """Return an ASGI application (3.0) with both: the header and the path, of its HTTP scope."""
    heartbeat, sample = OwnHeartbeat(), Sample()

    async def attached(scope: Message, receive: Any, send: Send) -> None:
        http = scope["type"] == "http"
        if http and scope["path"] == PATH and is_local((scope.get("client") or (None,))[0]):
            body = heartbeat.answer()
            length = (b"content-length", str(len(body)).encode())
            headers = [(b"content-type", b"application/json"), length]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        phases = sample.begin(_name_of_scope, scope) if http else None

        async def timed(message: Message) -> None:
            if phases is not None and message["type"] == "http.response.start":
                header = (HEADER.lower().encode(), phases.header().encode())
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        await application(scope, receive, send if phases is None else timed)

    return attached


def _name_of_scope(scope: Message) -> str:
    """Return method and route, once a framework has found it: as Starlette and its like say it."""
    route = getattr(scope.get("route"), "path", "")
    endpoint = getattr(scope.get("endpoint"), "__name__", "")
    return f"{scope['method']} {route or endpoint}".strip()


def attach_tornado(application: Application) -> Application:
    """Add both to a Tornado application: the header by an output transform, the path by a handler.

    Tornado is imported here, since ASGI applications do without it.
    """
    from tornado.web import OutputTransform, RequestHandler

    class ServerTiming(OutputTransform):
        def __init__(self, phases: Phases | None) -> None:
            self.phases = phases

        def transform_first_chunk(
            self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
        ) -> tuple[int, HTTPHeaders, bytes]:
            if self.phases is not None:
                # beside one that the application has itself
                headers.add(HEADER, self.phases.header())
            return status_code, headers, chunk

    class Heartbeat(RequestHandler):
        def get(self) -> None:
            stream = getattr(self.request.connection, "stream", None)
            peer = stream.socket.getpeername() if stream is not None and stream.socket else None
            if not is_local(peer[0] if isinstance(peer, tuple) else peer):
                # for others there is nothing here
                self.send_error(404)
                return
            self.set_header("Content-Type", "application/json")
            self.finish(heartbeat.answer())

    heartbeat, sample = OwnHeartbeat(), Sample()
    nothing, find = ServerTiming(None), application.find_handler

    def find_handler(request: HTTPServerRequest, **options: Any) -> Any:
        # a rule of the application's would be looked at for each request, and take longer
        if request.path == PATH:
            return application.get_handler_delegate(request, Heartbeat)
        return find(request, **options)

    def name_of(request: HTTPServerRequest) -> str:
        # a request does not know its handler
        found = getattr(find(request), "handler_class", None)
        return f"{request.method} {getattr(found, '__name__', '')}".strip()

    def transform(request: HTTPServerRequest) -> ServerTiming:
        # Tornado asks for one for each request, before its handler runs
        phases = sample.begin(name_of, request)
        return nothing if phases is None else ServerTiming(phases)

    application.transforms.append(transform)  # type: ignore[arg-type]
    application.find_handler = find_handler  # type: ignore[method-assign]
    return application
