"""A Tornado application: the header by an output transform, the heartbeat by a handler."""

from __future__ import annotations

from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application, OutputTransform, RequestHandler

from asyncdb_bench.attached.own_heartbeat import PATH, OwnHeartbeat, is_local
from asyncdb_bench.attached.requests_noted import begin
from asyncdb_bench.contract.timing import HEADER

HANDLER = "_asyncdb_bench_handler"


class ServerTiming(OutputTransform):
    """Adds ``Server-Timing``; Tornado makes one for each request, before its handler runs."""

    def __init__(self, request: HTTPServerRequest) -> None:
        name = f"{request.method} {getattr(request, HANDLER, '')}".strip()
        self.phases = begin(lambda: name)

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the header beside one that the application has itself."""
        headers.add(HEADER, self.phases.header())
        return status_code, headers, chunk


class OwnHeartbeatHandler(RequestHandler):
    """Answers what the heartbeat noted."""

    def initialize(self, heartbeat: OwnHeartbeat) -> None:
        """Take the heartbeat."""
        self.heartbeat = heartbeat

    def get(self) -> None:
        """Answer to this machine alone; for others there is nothing here."""
        stream = getattr(self.request.connection, "stream", None)
        peer = stream.socket.getpeername() if stream is not None and stream.socket else None
        if not is_local(peer[0] if isinstance(peer, tuple) else peer):
            self.send_error(404)
            return
        self.set_header("Content-Type", "application/json")
        self.finish(self.heartbeat.answer())


def attach_tornado(application: Application, heartbeat: OwnHeartbeat) -> Application:
    """Add both to an application."""
    find = application.find_handler

    def find_handler(request: HTTPServerRequest, **options: Any) -> Any:
        # a request does not know its handler, and who adds a header is given the request alone
        delegate = find(request, **options)
        found = getattr(delegate, "handler_class", None)
        setattr(request, HANDLER, getattr(found, "__name__", ""))
        return delegate

    application.find_handler = find_handler  # type: ignore[method-assign]
    application.add_transform(ServerTiming)
    handler: list[Any] = [(PATH, OwnHeartbeatHandler, {"heartbeat": heartbeat})]
    application.add_handlers(".*", handler)
    return application
