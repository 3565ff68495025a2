"""`procrastinate`: jobs in PostgreSQL itself; replies in a table, since it has no results."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from asyncdb_bench import QueueKnobs, QueueStrategy, waiting
from asyncdb_bench.contract.queues import database

WAITING = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"


class Procrastinate(QueueStrategy[QueueKnobs]):
    """Its jobs have a database of their own; connections to that are beside the budget."""

    name = "procrastinate"
    summary = "a procrastinate job per request; NOTIFY tells of the row with its reply"
    packages = (*QueueStrategy.packages, "procrastinate", "psycopg[binary]")
    Knobs = waiting("NOTIFY tells of the reply's row", "asks for the row each 0.2 s")
    brokers = ()

    async def connect(self) -> None:
        from procrastinate import App, PsycopgConnector

        size = max(4, self.knobs.tasks_each)
        async with database.beside(self.context.database_url) as (place, new):
            self.app = App(connector=PsycopgConnector(kwargs=place, min_size=2, max_size=size))
            self.closing.push_async_callback(self.app.close_async)
            await self.app.open_async()
            if new:
                await self.app.schema_manager.apply_schema_async()
                await self.app.connector.execute_query_async(database.TABLE)
        if not self.in_worker:
            self.replies = database.Replies(place, WAITING)
            self.depth = await self.replies.open(self.closing)

    async def call(self, task: str) -> Any:
        key, take = uuid.uuid4().hex, self.app.connector.execute_query_all_async
        with self.replies.expecting(key) as told:
            await self.app.configure_task("run").defer_async(text=task, key=key)
            if self.knobs.wait == "tuned":
                # a reconnect may miss what was told
                await asyncio.wait([told], timeout=1)
            while not (found := await take(database.TAKE, key=key)):
                await asyncio.sleep(0.2)
        return found[0]["reply"]

    async def work(self, run: Callable[[str], Any], ready: Callable[[], object]) -> None:
        @self.app.task(name="run")
        async def take(text: str, key: str) -> None:
            reply = await run(text)
            await self.app.connector.execute_query_async(database.STORE, key=key, reply=reply)

        ready()
        await self.app.run_worker_async(concurrency=self.knobs.tasks_each, delete_jobs="always")
