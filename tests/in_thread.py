"""Servers in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

PATIENCE_S = 60.0


@contextmanager
def running(
    serve: Callable[[threading.Event, asyncio.Event], Coroutine[Any, Any, None]],
) -> Iterator[None]:
    """Run what serves: it sets the first event when ready, and ends with the second."""
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(ready, stop),))
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        loop.close()


@contextmanager
def served(application: Application) -> Iterator[int]:
    """Serve a Tornado application; yield its port."""
    listening, port = bind_unused_port()

    async def serve(ready: threading.Event, stop: asyncio.Event) -> None:
        server = HTTPServer(application)
        server.add_sockets([listening])
        ready.set()
        await stop.wait()
        server.stop()
        await server.close_all_connections()

    with running(serve):
        yield port
