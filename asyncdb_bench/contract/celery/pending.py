"""Futures that wait for a reply: bounded, ended at their timeout, late replies counted."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncdb_bench.errors import RequestTimeoutError, UnavailableError

LIMIT = 10_000


class RemoteError(Exception):
    """A task failed in the worker; the text says how."""


class Pending:
    """Calls under way, by task id. Used on the event loop only.

    Parameters
    ----------
    limit : calls that may wait at once; more are refused.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.late = 0
        self.replied = 0
        self._futures: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, task_id: str) -> asyncio.Future[dict[str, Any]]:
        """Start to wait for a reply.

        Raises
        ------
        UnavailableError : as many calls as permitted wait already.
        """
        if len(self._futures) >= self.limit:
            raise UnavailableError(f"{self.limit} tasks wait for their reply already")
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._futures[task_id] = future
        return future

    async def wait(
        self, task_id: str, future: asyncio.Future[dict[str, Any]], timeout_s: float
    ) -> dict[str, Any]:
        """Await the reply and forget the call, however it ends.

        Raises
        ------
        RequestTimeoutError : no reply within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise RequestTimeoutError(f"no reply from a worker within {timeout_s:g} s") from None
        finally:
            self.forget(task_id)

    def forget(self, task_id: str) -> None:
        """Stop to wait for a reply."""
        self._futures.pop(task_id, None)

    def resolve(self, task_id: str, reply: dict[str, Any]) -> None:
        """Hand a reply to who waits for it; drop and count it when nobody does any more."""
        future = self._futures.get(task_id)
        if future is None or future.done():
            self.late += 1
            return
        self.replied += 1
        if reply.get("status") == "SUCCESS":
            future.set_result(reply["result"])
        else:
            future.set_exception(failure(reply.get("result")))

    def fail(self, task_id: str, reason: str) -> None:
        """End one call as unavailable."""
        future = self._futures.get(task_id)
        if future is not None and not future.done():
            future.set_exception(UnavailableError(reason))

    def fail_all(self, reason: str) -> None:
        """End every call as unavailable: the connection that would bring the replies is gone."""
        for task_id in list(self._futures):
            self.fail(task_id, reason)


def failure(result: Any) -> Exception:
    """Return the exception that stands for a failed task's JSON result."""
    if not isinstance(result, dict):
        return RemoteError(str(result))
    kind, message = result.get("exc_type", "Exception"), result.get("exc_message", "")
    text = " ".join(map(str, message)) if isinstance(message, list | tuple) else str(message)
    if kind == "UnavailableError":
        return UnavailableError(text)
    return RemoteError(f"{kind}: {text}")
