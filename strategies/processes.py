"""`processes`: a `ProcessPoolExecutor`, spawned; each process has a connection of its own."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import Operation, Params, ProcessKnobs, ProcessStrategy


class Processes(ProcessStrategy[ProcessKnobs]):
    """Threads without the GIL between them, at the price of pickling and of memory."""

    name = "processes"
    summary = "sync SQLAlchemy on psycopg in a ProcessPoolExecutor (spawn)"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run the operation in a process and await its future."""
        return await self.in_process(operation, params)
