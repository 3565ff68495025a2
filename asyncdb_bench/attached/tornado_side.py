"""A Tornado application: the header by an output transform, the heartbeat by a handler."""

from __future__ import annotations

from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application, OutputTransform, RequestHandler

from asyncdb_bench.attached.own_heartbeat import PATH, OwnHeartbeat, is_local
from asyncdb_bench.attached.requests_noted import Sample
from asyncdb_bench.contract.timing import HEADER, Phases


class ServerTiming(OutputTransform):
    """Adds ``Server-Timing`` to an answer, where its request's phases are noted.

    Parameters
    ----------
    phases : None: they are not.
    """

    def __init__(self, phases: Phases | None) -> None:
        self.phases = phases

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the header beside one that the application has itself."""
        if self.phases is not None:
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
    sample, nothing, find = Sample(), ServerTiming(None), application.find_handler

    def find_handler(request: HTTPServerRequest, **options: Any) -> Any:
        # a rule of the application's would be looked at for each request, and take longer
        if request.path == PATH:
            own = {"heartbeat": heartbeat}
            return application.get_handler_delegate(request, OwnHeartbeatHandler, own)
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
