"""The routes: an operation by its name, JSON in and out; health; and the errors' status codes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from random import random
from typing import Any

import msgspec
from tornado.log import app_log
from tornado.web import Application, RequestHandler

from asyncdb_bench.app.bounded_server import LONGEST_FRAME
from asyncdb_bench.app.chat import ChatHandler, Rooms
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.strategy import Strategy
from asyncdb_bench.contract.timing import HEADER, Phases, current
from asyncdb_bench.errors import RequestTimeoutError, UnavailableError

_encode = msgspec.json.Encoder().encode
BITS = 63
"""Of a database's bigint, without its sign."""


class JsonHandler(RequestHandler):
    """Answers in JSON, errors too."""

    def compute_etag(self) -> None:
        """No caching, so no digest of every answer."""

    def answer(
        self,
        body: Mapping[str, Any],
        status: HTTPStatus = HTTPStatus.OK,
        phases: Phases | None = None,
    ) -> None:
        """Finish with a JSON object, and where the time went."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        encoded = _encode(body)
        if phases is not None:
            self.set_header(HEADER, phases.header())
        self.finish(encoded)

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


class OperationHandler(JsonHandler):
    """``POST /op/<name>`` runs an operation through the strategy."""

    def initialize(
        self,
        strategy: Strategy[Any],
        operations: Mapping[str, Operation],
        decoders: Mapping[str, msgspec.json.Decoder[Any]],
        timeout_s: float,
    ) -> None:
        """Take what the application was made with."""
        self.strategy = strategy
        self.operations = operations
        self.decoders = decoders
        self.timeout_s = timeout_s
        self.timing: float = strategy.knobs.timing

    async def post(self, name: str) -> None:
        """Validate the parameters, run the operation, answer."""
        operation = self.operations.get(name)
        if operation is None:
            known = ", ".join(self.operations)
            self.refuse(HTTPStatus.NOT_FOUND, f"unknown operation {name!r}; known: {known}")
            return
        try:
            params = msgspec.structs.asdict(self.decoders[name].decode(self.request.body or b"{}"))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self.refuse(HTTPStatus.BAD_REQUEST, f"{name}: {error}")
            return
        phases = Phases() if self.timing and (self.timing >= 1 or random() < self.timing) else None
        current.set(phases)
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await self.strategy.run(operation, params)
        except TimeoutError:
            self.refuse(HTTPStatus.GATEWAY_TIMEOUT, f"no answer within {self.timeout_s:g} s")
        except RequestTimeoutError as error:
            self.refuse(HTTPStatus.GATEWAY_TIMEOUT, str(error))
        except UnavailableError as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception as error:
            if any(isinstance(each, int) and each.bit_length() > BITS for each in params.values()):
                # msgspec holds no bounds against integers of more than 64 bits
                reason = f"{name}: an integer of more than {BITS} bits"
                self.refuse(HTTPStatus.BAD_REQUEST, reason)
                return
            app_log.exception("operation %s with %s failed", name, params)
            reason = f"{type(error).__name__}: {error}"
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, reason)
        else:
            self.answer(answer, phases=phases)


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
            f"POST /op/{name}": {
                "summary": each.summary,
                "params": list(each.params_type.__struct_fields__),
            }
            for name, each in self.operations.items()
        }
        self.answer(listed)


def make_application(
    strategy: Strategy[Any],
    operations: Mapping[str, Operation],
    timeout_s: float,
    rooms: Rooms | None = None,
) -> Application:
    """Make the Tornado application.

    Parameters
    ----------
    strategy : opened already.
    operations : by name; each becomes a route.
    timeout_s : after how long a request is given up and answered as 504.
    rooms : of a chat, where the operations are a chat's.
    """
    handed = {
        "strategy": strategy,
        "operations": operations,
        "decoders": {
            name: msgspec.json.Decoder(each.params_type) for name, each in operations.items()
        },
        "timeout_s": timeout_s,
    }
    chat = [(r"/chat/(\d{1,18})", ChatHandler, {"rooms": rooms})] if rooms else []
    return Application(
        [
            *chat,
            (r"/op/([A-Za-z_][A-Za-z0-9_]*)", OperationHandler, handed),
            (r"/healthz", HealthHandler),
            (r"/", IndexHandler, {"operations": operations}),
        ],
        default_handler_class=NowhereHandler,
        log_function=lambda _: None,
        websocket_max_message_size=LONGEST_FRAME,
    )
