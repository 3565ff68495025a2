"""Several reads of one request at once: awaited together, and what they took as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

from asyncdb_bench_attach.timing import Phases, current


async def together(reads: Iterable[Awaitable[Any]]) -> list[Any]:
    """Await all at once and return what came, in order; the first error ends the others.

    The request's phases are those of the read that took longest, since that is what it waited for;
    connections and threads were occupied by all of them.
    """
    whole, asked = current.get(), list(reads)
    noted = [Phases() if whole is not None else None for _ in asked]
    tasks = [
        asyncio.ensure_future(_noting(read, phases))
        for read, phases in zip(asked, noted, strict=True)
    ]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    finally:
        if whole is not None:
            whole.fold([each for each in noted if each is not None])


async def _noting(read: Awaitable[Any], phases: Phases | None) -> Any:
    # a task has a context of its own
    current.set(phases)
    return await read
