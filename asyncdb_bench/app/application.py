"""The routes: an operation by its name or its own route; health; and the errors' status codes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from random import random
from typing import Any

import msgspec
from tornado.log import app_log
from tornado.web import Application, RequestHandler

from asyncdb_bench.app.admission import RETRY_AFTER_S, Admission, own_timeout_s
from asyncdb_bench.app.bounded_server import LONGEST_FRAME
from asyncdb_bench.app.chat import ChatHandler, Rooms
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.route import JSON, REQUEST_TIMEOUT, Reply
from asyncdb_bench.contract.strategy import Strategy
from asyncdb_bench.errors import (
    PluginError,
    RefusedError,
    RequestTimeoutError,
    UnavailableError,
    described,
)
from asyncdb_bench_attach.timing import HEADER, Phases, current

_encode = msgspec.json.Encoder().encode
BITS = 63
"""Of a database's bigint, without its sign."""


class JsonHandler(RequestHandler):
    """Answers in JSON, errors too."""

    def compute_etag(self) -> None:
        """No caching, so no digest of every answer."""

    def answer(self, body: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Finish with what JSON can say."""
        self.send(_encode(body), JSON, status)

    def send(
        self, body: bytes, content_type: str, status: int, phases: Phases | None = None
    ) -> None:
        """Finish with a body, and where the time went."""
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        if phases is not None:
            self.set_header(HEADER, phases.header())
        # Tornado takes an empty body for one, which a 204 may not have
        self.finish(body or None)

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """Finish with an error and its reason."""
        self.answer({"error": reason, "status": int(status)}, status)

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer what Tornado itself refuses (404, 405) in JSON too."""
        self.refuse(HTTPStatus(status_code), self._reason)


class NowhereHandler(JsonHandler):
    """Any other path."""

    def prepare(self) -> None:
        """Refuse whatever the method is."""
        self.refuse(HTTPStatus.NOT_FOUND, f"no route {self.request.path}; GET / lists them")


class StrategyHandler(JsonHandler):
    """Runs an operation through the strategy; who inherits says where its parameters stand."""

    limit: asyncio.Timeout | None = None
    """Of the request that is under way."""
    has_left = False
    """Whether its client has."""

    def initialize(
        self, strategy: Strategy[Any], admission: Admission, timeout_s: float, **own: Any
    ) -> None:
        """Take what the application hands over; `own` becomes attributes."""
        self.admission = admission
        self.timeout_s = timeout_s
        self.timing = strategy.knobs.timing
        vars(self).update(own)

    async def run(
        self, operation: Operation, read: Callable[[], Any], reply: Callable[[Any], Reply]
    ) -> None:
        """Validate the parameters, run the operation, answer.

        Parameters
        ----------
        operation : to run.
        read : returns its parameters as its `params_type`.
        reply : makes what is sent of its answer.
        """
        name = operation.name
        try:
            params = msgspec.structs.asdict(read())
            timeout_s = own_timeout_s(self.request.headers.get(REQUEST_TIMEOUT), self.timeout_s)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self.refuse(HTTPStatus.BAD_REQUEST, f"{name}: {error}")
            return
        phases = Phases() if self.timing and (self.timing >= 1 or random() < self.timing) else None
        current.set(phases)
        admission = self.admission
        admission.under_way += 1
        try:
            async with asyncio.timeout(admission.limit_s(timeout_s)) as self.limit:
                answer = await admission.run(operation, params)
            made = reply(answer)
        except TimeoutError:
            admission.timed_out += not self.has_left
            self.refuse(HTTPStatus.GATEWAY_TIMEOUT, f"no answer within {timeout_s:g} s")
        except RequestTimeoutError as error:
            admission.timed_out += not self.has_left
            self.refuse(HTTPStatus.GATEWAY_TIMEOUT, str(error))
        except UnavailableError as error:
            if isinstance(error, RefusedError):
                self.set_header("Retry-After", RETRY_AFTER_S)
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception as error:
            if any(isinstance(each, int) and each.bit_length() > BITS for each in params.values()):
                # msgspec holds no bounds against integers of more than 64 bits
                reason = f"{name}: an integer of more than {BITS} bits"
                self.refuse(HTTPStatus.BAD_REQUEST, reason)
                return
            app_log.exception("operation %s with %s failed", name, params)
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, described(error))
        else:
            for header, value in made.headers.items():
                self.set_header(header, value)
            self.send(made.encoded, made.content_type, made.status, phases)
        finally:
            self.limit = None
            admission.under_way -= 1
            admission.left_running -= self.has_left

    def on_connection_close(self) -> None:
        """Count a client that left before its answer, and cancel where the strategy does so."""
        if self.limit is None or self.has_left:
            return
        self.has_left = True
        self.admission.left += 1
        self.admission.left_running += 1
        if self.admission.cancels and not self.limit.expired():
            self.limit.reschedule(0)


class OperationHandler(StrategyHandler):
    """``POST /op/<name>`` with a JSON object."""

    operations: Mapping[str, Operation]
    decoders: Mapping[str, msgspec.json.Decoder[Any]]

    async def post(self, name: str) -> None:
        """Run the operation of this name."""
        operation = self.operations.get(name)
        if operation is None:
            known = ", ".join(self.operations)
            self.refuse(HTTPStatus.NOT_FOUND, f"unknown operation {name!r}; known: {known}")
            return
        decoder = self.decoders[name]
        await self.run(
            operation,
            lambda: decoder.decode(self.request.body or b"{}"),
            lambda answer: Reply(_encode(answer), JSON),
        )


class RouteHandler(StrategyHandler):
    """A path of a scenario's own: the operations that are asked for there, by method."""

    routed: Mapping[str, list[Operation]]

    async def _serve(self, **in_path: str) -> None:
        listed = self.routed.get(self.request.method or "")
        if listed is None:
            self.set_header("Allow", ", ".join(self.routed))
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.METHOD_NOT_ALLOWED.phrase)
            return
        query = self.request.query_arguments
        operation = next((each for each in listed if each.route.takes(query)), None)
        if operation is None:
            self.refuse(HTTPStatus.NOT_FOUND, f"no route {self.request.uri}; GET / lists them")
            return
        await self.run(operation, lambda: self._params(operation, in_path), operation.route.reply)

    get = head = options = post = put = patch = delete = _serve

    def _params(self, operation: Operation, in_path: Mapping[str, str]) -> Any:
        """Return an operation's parameters from path, query, headers and body, validated."""
        route, request = operation.route, self.request
        lists = operation.lists
        given: dict[str, Any] = dict(operation.unsaid)

        def said(arguments: Mapping[str, list[bytes]]) -> dict[str, Any]:
            return {
                name: [each.decode() for each in values] if name in lists else values[-1].decode()
                for name, values in arguments.items()
            }

        given |= route.query_values(said(request.query_arguments))
        given |= {**route.header_values(request.headers), **in_path}
        if route.has_body and route.body == "form":
            given |= said(request.body_arguments)
        elif route.has_body and request.body:
            body = msgspec.json.decode(request.body)
            if not isinstance(body, dict):
                raise ValueError("the body is no JSON object")
            given |= body
        if route.read is not None:
            given = route.read(given)
        return msgspec.convert(given, operation.params_type, strict=False)


class HealthHandler(JsonHandler):
    """``GET /healthz`` answers without touching the database: what the loop alone can do."""

    def get(self) -> None:
        """Say that the loop turns."""
        self.answer({"status": "ok"})


class IndexHandler(JsonHandler):
    """``GET /`` lists the routes."""

    def initialize(self, operations: Mapping[str, Operation]) -> None:
        """Take the operations."""
        self.operations = operations

    def get(self) -> None:
        """List the operations with their parameters."""
        listed = {
            f"{each.route.method} {each.route.path}": {
                "summary": each.summary,
                "params": list(each.params_type.__struct_fields__),
            }
            for each in self.operations.values()
        }
        self.answer(listed)


def routes_of(operations: Mapping[str, Operation]) -> dict[str, dict[str, list[Operation]]]:
    """Return the operations with a route of their own by path, as a pattern, and method.

    Several differ in the constants of their queries; who has most is the first.

    Raises
    ------
    PluginError : two have the same.
    """
    found: dict[str, dict[str, list[Operation]]] = {}
    for each in operations.values():
        if "route" not in each.traits:
            continue
        at = found.setdefault(each.route.pattern, {}).setdefault(each.route.method, [])
        for other in at:
            if other.route.constants == each.route.constants:
                raise PluginError(
                    f"operations {other.name!r} and {each.name!r} are both asked for at"
                    f" {each.route.method} {each.route.path}"
                )
        at.append(each)
        at.sort(key=lambda one: -len(one.route.constants))
    return found


def make_application(
    strategy: Strategy[Any],
    operations: Mapping[str, Operation],
    timeout_s: float,
    rooms: Rooms | None = None,
    admission: Admission | None = None,
) -> Application:
    """Make the Tornado application.

    Parameters
    ----------
    strategy : opened already.
    operations : by name; each becomes a route, and has its own besides where it names one.
    timeout_s : after how long a request is given up and answered as 504.
    rooms : of a chat, where the operations are a chat's.
    admission : how requests are let in; None: as the strategy says.
    """
    admission = admission or Admission(strategy)
    handed = {
        "strategy": strategy,
        "admission": admission,
        "operations": operations,
        "decoders": {
            name: msgspec.json.Decoder(each.params_type) for name, each in operations.items()
        },
        "timeout_s": timeout_s,
    }
    chat = [(r"/chat/(\d{1,18})", ChatHandler, {"rooms": rooms})] if rooms else []
    own = {"strategy": strategy, "admission": admission, "timeout_s": timeout_s}
    return Application(
        [
            *chat,
            (r"/op/([A-Za-z_][A-Za-z0-9_]*)", OperationHandler, handed),
            (r"/healthz", HealthHandler),
            *(
                (pattern, RouteHandler, {"routed": routed, **own})
                for pattern, routed in routes_of(operations).items()
            ),
            (r"/", IndexHandler, {"operations": operations}),
        ],
        default_handler_class=NowhereHandler,
        log_function=lambda _: None,
        websocket_max_message_size=LONGEST_FRAME,
    )
