"""What became of an operation that failed in another process."""

from __future__ import annotations

from typing import Any

from asyncdb_bench.errors import RequestTimeoutError, UnavailableError

LIMIT = 10_000
"""Calls of an application that may wait at once for an answer; more are refused."""


class RemoteError(Exception):
    """A task failed in the worker; the text says how."""


def failure(result: Any) -> Exception:
    """Return the exception that stands for a failed task's JSON result, by Celery's names."""
    if not isinstance(result, dict):
        return RemoteError(str(result))
    kind, message = result.get("exc_type", "Exception"), result.get("exc_message", "")
    text = " ".join(map(str, message)) if isinstance(message, list | tuple) else str(message)
    known = {each.__name__: each for each in (UnavailableError, RequestTimeoutError)}
    if kind in known:
        return known[kind](text)
    return RemoteError(f"{kind}: {text}")
