"""A task and its reply as texts, which every queue's library carries unchanged."""

from __future__ import annotations

import datetime
import decimal
import json
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import msgspec

from asyncdb_bench.contract.remote import failure
from asyncdb_bench_attach.timing import current

MARK = "__type__"
SAID: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "datetime": (datetime.datetime, str, datetime.datetime.fromisoformat),
    "date": (datetime.date, str, datetime.date.fromisoformat),
    "time": (datetime.time, str, datetime.time.fromisoformat),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "bytes": (bytes, lambda value: b64encode(value).decode(), b64decode),
}
"""What JSON cannot say of an answer, a class before those that it inherits from."""


class Task(msgspec.Struct, frozen=True, array_like=True):
    """What a worker is asked.

    Parameters
    ----------
    name, params : the operation.
    deadline : seconds since the epoch after which nobody waits for it any more.
    timed : whether its phases are noted.
    published_ns : when it was handed to the queue, CLOCK_MONOTONIC.
    """

    name: str
    params: dict[str, Any]
    deadline: float
    timed: bool
    published_ns: int


def task_text(name: str, params: dict[str, Any], timeout_s: float) -> str:
    """Return a task of this moment; parameters as :meth:`Operation.plain` gives them."""
    timed = current.get() is not None
    task = Task(name, params, time.time() + timeout_s, timed, time.monotonic_ns())
    return msgspec.json.encode(task).decode()


def answer_text(answer: Any, phases: list[int] | None) -> str:
    """Return a reply with the answer, as :func:`portable` makes it, and the worker's phases."""
    return json.dumps([answer, phases], default=_marked)


def error_text(error: Exception) -> str:
    """Return a reply that says how the operation failed."""
    return json.dumps({"exc_type": type(error).__name__, "exc_message": str(error)})


def answer_of(reply: str | bytes, submitted_ns: int) -> Any:
    """Return the answer in a reply, and note the phases that came with it.

    Raises
    ------
    UnavailableError, RemoteError : the operation failed; what its error was called, and its text.
    """
    text = reply if isinstance(reply, str) else reply.decode()
    said = json.loads(text, object_hook=_unmarked) if MARK in text else msgspec.json.decode(text)
    if isinstance(said, dict):
        raise failure(said)
    answer, told = said
    phases = current.get()
    if phases is not None and told:
        phases.absorb(submitted_ns, told)
    return answer


def _marked(value: Any) -> dict[str, str]:
    for name, (kind, say, _) in SAID.items():
        if isinstance(value, kind):
            return {MARK: name, "value": say(value)}
    raise TypeError(f"{type(value).__name__} cannot travel to another process")


def _unmarked(found: dict[str, Any]) -> Any:
    if found.keys() == {MARK, "value"} and found[MARK] in SAID:
        return SAID[found[MARK]][2](found["value"])
    return found
