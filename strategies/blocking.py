"""`blocking`: SQLAlchemy in the handler itself; the event loop waits for the database."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import Operation, Params, PoolKnobs, SessionStrategy


class Blocking(SessionStrategy[PoolKnobs]):
    """One query at a time; nothing else runs meanwhile."""

    name = "blocking"
    summary = "sync SQLAlchemy on psycopg in the handler; the loop waits"
    abandons = ("run", "statement")

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run the operation on the loop."""
        return self.execute(operation, params)

    @classmethod
    def limits(cls, knobs: PoolKnobs) -> dict[str, int]:
        """Return the pool's size, and that each loop serves one request at a time."""
        return super().limits(knobs) | {"handler": knobs.processes}
