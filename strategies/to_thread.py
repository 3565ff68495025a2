"""`to_thread`: `asyncio.to_thread`, on the loop's own default executor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asyncdb_bench import Operation, Params, ThreadKnobs, ThreadStrategy


class ToThread(ThreadStrategy[ThreadKnobs]):
    """As `executor`, without Tornado's `run_on_executor`: what the standard library offers."""

    name = "to_thread"
    summary = "sync SQLAlchemy on psycopg by asyncio.to_thread"

    async def open(self) -> None:
        """Have the loop use our threads: it would make as many as it sees fit."""
        await super().open()
        assert self.executor is not None
        asyncio.get_running_loop().set_default_executor(self.executor)

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run the operation on a thread and await what it returns."""
        return await self.in_thread(operation, params)

    async def submit(self, call: Callable[..., Any], *given: Any) -> Any:
        """Have one of the loop's threads make a call."""
        return await asyncio.to_thread(call, *given)
