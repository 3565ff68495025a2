"""The two naive ways to wait for a task's result, kept with their flaws: threads and polling."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.exceptions import TimeoutError as ResultTimeoutError
from celery.result import AsyncResult

from asyncdb_bench.contract.celery.celery_app import (
    Arguments,
    QueueOptions,
    backend_url,
    make_app,
    task_arguments,
    task_of,
    unwrapped,
)
from asyncdb_bench.contract.celery.pending import RemoteError
from asyncdb_bench.errors import RequestTimeoutError

POLL_S = 0.005


class WaitByPolling:
    """Publishes on the loop, then asks `ready()` every 5 ms.

    Parameters
    ----------
    options : how tasks and results travel.
    """

    def __init__(self, options: QueueOptions) -> None:
        self.task = task_of(make_app(options, backend=backend_url(options, client=False)))
        self.timeout_s = options.timeout_s

    async def open(self) -> None:
        """Nothing to open: Celery connects when it first publishes."""

    async def call(self, name: str, params: dict[str, Any]) -> Any:
        """Run an operation on a worker and return its answer."""
        submitted_ns = time.monotonic_ns()
        result = self._send(task_arguments(name, params, self.timeout_s))
        async with asyncio.timeout(self.timeout_s):
            while not result.ready():
                await asyncio.sleep(POLL_S)
        return unwrapped(value_of(result), submitted_ns)

    async def close(self) -> None:
        """Nothing to close."""

    def gauges(self) -> dict[str, float]:
        """Nothing is known."""
        return {}

    def _send(self, arguments: Arguments) -> AsyncResult:
        return self.task.apply_async(arguments, expiration=self.timeout_s)


class WaitOnThreads(WaitByPolling):
    """Publishes and waits by `get()` on threads of a pool.

    Parameters
    ----------
    options : as :class:`WaitByPolling`.
    threads : how many.
    """

    def __init__(self, options: QueueOptions, threads: int) -> None:
        super().__init__(options)
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="celery-get")

    async def call(self, name: str, params: dict[str, Any]) -> Any:
        """Run an operation on a worker and return its answer."""
        submitted_ns = time.monotonic_ns()
        arguments = task_arguments(name, params, self.timeout_s)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self.executor, self._get, arguments)
        return unwrapped(found, submitted_ns)

    async def close(self) -> None:
        """End the threads."""
        self.executor.shutdown(wait=False, cancel_futures=True)

    def _get(self, arguments: Arguments) -> dict[str, Any]:
        result = self._send(arguments)
        try:
            result.get(timeout=self.timeout_s, propagate=False)
        except ResultTimeoutError as error:
            raise RequestTimeoutError(f"no result: {error}") from error
        return value_of(result)


def value_of(result: AsyncResult) -> dict[str, Any]:
    """Return what a finished task returned.

    Raises
    ------
    RemoteError : it failed.
    """
    if not result.successful():
        raise RemoteError(repr(result.result))
    found: dict[str, Any] = result.result
    return found
