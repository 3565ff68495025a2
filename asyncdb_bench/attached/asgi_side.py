"""An ASGI application, wrapped (ASGI specification 3.0, HTTP connection scope)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asyncdb_bench.attached.own_heartbeat import PATH, OwnHeartbeat, is_local
from asyncdb_bench.attached.requests_noted import Sample
from asyncdb_bench.contract.timing import HEADER

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class AttachedAsgi:
    """Adds ``Server-Timing`` and the heartbeat's path to an application.

    Parameters
    ----------
    application : of ASGI.
    heartbeat : answers at its path.
    """

    def __init__(self, application: Any, heartbeat: OwnHeartbeat) -> None:
        self.application = application
        self.heartbeat = heartbeat
        self.sample = Sample()

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        if scope["path"] == PATH and is_local((scope.get("client") or (None,))[0]):
            body = self.heartbeat.answer()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        phases = self.sample.begin(name_of, scope)
        if phases is None:
            await self.application(scope, receive, send)
            return

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                header = (HEADER.lower().encode(), phases.header().encode())
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        await self.application(scope, receive, timed)


def name_of(scope: Message) -> str:
    """Return method and route, once a framework has found it: as Starlette and its like say it."""
    route = getattr(scope.get("route"), "path", "")
    endpoint = getattr(scope.get("endpoint"), "__name__", "")
    return f"{scope['method']} {route or endpoint}".strip()
