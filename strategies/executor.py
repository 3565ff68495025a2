"""`executor`: Tornado's `run_on_executor` over a thread pool."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import Operation, Params, ThreadKnobs, ThreadStrategy


class Executor(ThreadStrategy[ThreadKnobs]):
    """The way that the author of 2017 chose, with four threads."""

    name = "executor"
    summary = "sync SQLAlchemy on psycopg in a ThreadPoolExecutor (run_on_executor)"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run the operation on a thread and await its future."""
        return await self.in_thread(operation, params)
