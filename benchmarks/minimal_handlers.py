"""Tornado handlers as one writes them by hand: what our application is measured against.

Run as a process by `interface_overhead.py`; nothing of the strategies or operations is used.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker
from tornado.concurrent import run_on_executor
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from asyncdb_bench.contract.data.accounts import Account
from asyncdb_bench.records.messages import (
    Config,
    Heartbeats,
    Ready,
    answer_marks,
    decoded_config,
    read_line,
    say,
)

POOL = 8


class Blocking(RequestHandler):
    """Queries in the handler."""

    def initialize(self, url: str) -> None:
        self.session = SESSIONS[url]

    def post(self) -> None:
        number = json.loads(self.request.body)["account"]
        with self.session.begin() as session:
            found = session.execute(select(Account).where(Account.id == number)).scalar_one()
            answer = {"id": found.id, "owner": found.owner, "balance": found.balance}
        self.write(answer)


class Executor(RequestHandler):
    """Queries on a thread."""

    executor = ThreadPoolExecutor(POOL)

    def initialize(self, url: str) -> None:
        self.session = SESSIONS[url]

    @run_on_executor
    def query(self, number: int) -> dict[str, Any]:
        with self.session.begin() as session:
            found = session.execute(select(Account).where(Account.id == number)).scalar_one()
            return {"id": found.id, "owner": found.owner, "balance": found.balance}

    async def post(self) -> None:
        self.write(await self.query(json.loads(self.request.body)["account"]))


class Native(RequestHandler):
    """Queries on the loop."""

    def initialize(self, url: str) -> None:
        self.session = SESSIONS[url]

    async def post(self) -> None:
        number = json.loads(self.request.body)["account"]
        async with self.session.begin() as session:
            found = (
                await session.execute(select(Account).where(Account.id == number))
            ).scalar_one()
            answer = {"id": found.id, "owner": found.owner, "balance": found.balance}
        self.write(answer)


SESSIONS: dict[str, Any] = {}
WAYS: dict[str, type[RequestHandler]] = {
    "blocking": Blocking,
    "executor": Executor,
    "native": Native,
}


async def sessions(way: str, url: str) -> Any:
    """Make the session factory that a way of asking wants, its pool connected as ours is.

    A pool that opens connections as it needs them gives the blocking way a single one: another
    and faster pattern for PostgreSQL than eight in turn.
    """
    if way == "native":
        engine = create_async_engine(
            url.replace("postgresql:", "postgresql+asyncpg:"),
            pool_size=POOL,
            max_overflow=0,
            connect_args={"ssl": False},
        )
        opened = [await engine.connect() for _ in range(POOL)]
        for connection in opened:
            await connection.close()
        return async_sessionmaker(engine)
    sync = create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"),
        pool_size=POOL,
        max_overflow=0,
        connect_args={"sslmode": "disable"},
    )
    held = [sync.connect() for _ in range(POOL)]
    for each in held:
        each.close()
    return sessionmaker(sync)


class MinimalConfig(Config, frozen=True, kw_only=True):
    """Which way to the database, and where that is."""

    way: str
    database_url: str


async def serve(way: str, url: str) -> None:
    """Serve one way until the parent has enough."""
    SESSIONS[url] = await sessions(way, url)
    stop = asyncio.Event()
    sockets = bind_sockets(0, address="127.0.0.1", backlog=4096)
    HTTPServer(Application([(r"/op/read", WAYS[way], {"url": url})])).add_sockets(sockets)
    answer_marks(Heartbeats, stop.set)
    say(Ready(port=sockets[0].getsockname()[1]))
    await stop.wait()


if __name__ == "__main__":
    config = decoded_config(read_line(), MinimalConfig)
    asyncio.run(serve(config.way, config.database_url))
