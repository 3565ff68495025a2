"""What `attach` costs an application that has little to do: with it against without, in turns.

``PYTHONPATH=. .venv/bin/python benchmarks/attach_cost.py`` starts one process that serves a light
application twice, with ``attach(application, engine)`` and without, on two ports and with an engine
each; asks them in turn, some requests each time, on 8 connections at once; and prints the medians
of the ratios of requests/s and of the process's CPU time, with 95 % intervals over turns. ``light``
asks no database, ``read`` sends one statement. The heartbeat does not beat meanwhile, since nobody
asks for it; what it costs says ``heartbeat_cost.py``. ``fastapi`` needs FastAPI and uvicorn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import asyncdb_bench
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.processes.kernel import run_s
from asyncdb_bench.services.program import free_port, is_listening
from asyncdb_bench.services.running import RunningServices
from benchmarks.interface_overhead import pin

QUERY = "SELECT owner, balance FROM account WHERE id = 5"
CONNECTIONS = 8


async def tornado(engine: Any, port: int, *, attached: bool) -> None:
    """Serve with Tornado."""
    from sqlalchemy import text
    from tornado.web import Application, RequestHandler

    class Light(RequestHandler):
        async def get(self) -> None:
            self.write({"id": 5})

    class Read(RequestHandler):
        async def get(self) -> None:
            async with engine.connect() as connection:
                owner, balance = (await connection.execute(text(QUERY))).one()
            self.write({"owner": owner, "balance": balance})

    application = Application([("/light", Light), ("/read", Read)])
    if attached:
        asyncdb_bench.attach(application, engine)
    application.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


async def fastapi(engine: Any, port: int, *, attached: bool) -> None:
    """Serve with FastAPI and uvicorn."""
    from sqlalchemy import text

    application: Any = importlib.import_module("fastapi").FastAPI()

    async def light() -> Any:
        return {"id": 5}

    async def read() -> Any:
        async with engine.connect() as connection:
            owner, balance = (await connection.execute(text(QUERY))).one()
        return {"owner": owner, "balance": balance}

    application.get("/light")(light)
    application.get("/read")(read)
    served = asyncdb_bench.attach(application, engine) if attached else application
    uvicorn: Any = importlib.import_module("uvicorn")
    config = uvicorn.Config(served, port=port, log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()


WAYS = {"tornado": tornado, "fastapi": fastapi}


async def serve(way: str, url: str, ports: Sequence[int]) -> None:
    """Serve the application on two ports, on the second one attached."""
    from sqlalchemy.ext.asyncio import create_async_engine

    target = url.replace("postgresql:", "postgresql+asyncpg:")
    engines = [create_async_engine(target, pool_size=CONNECTIONS, max_overflow=0) for _ in ports]
    await asyncio.gather(
        *(
            WAYS[way](engine, port, attached=number == 1)
            for number, (engine, port) in enumerate(zip(engines, ports, strict=True))
        )
    )


@contextlib.contextmanager
def serving(way: str, url: str) -> Iterator[tuple[int, list[int]]]:
    """Run the applications; yield their process and ports."""
    ports = [free_port(), free_port()]
    words = [sys.executable, __file__, "--serve", way, url, *map(str, ports)]
    process = subprocess.Popen(words)
    try:
        while not all(map(is_listening, ports)):
            if process.poll() is not None:
                raise SystemExit(f"{way} ended with exit code {process.returncode}")
            time.sleep(0.05)
        yield process.pid, ports
    finally:
        process.kill()
        process.wait()


class Client:
    """Asks one application, on several connections at once.

    Parameters
    ----------
    port, path : which, and for what.
    """

    def __init__(self, port: int, path: str) -> None:
        self._request = f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]

    def ask(self, count: int, pid: int) -> tuple[float, float]:
        """Return the seconds of wall time and of the process's CPU that requests took."""
        used, began = run_s([pid]), time.perf_counter()
        for number in range(count + CONNECTIONS):
            each = self._sockets[number % CONNECTIONS]
            if number >= CONNECTIONS:
                answer = each.recv(65536)
                while not answer.endswith(b"}"):  # uvicorn sends the body by itself
                    answer += each.recv(65536)
                if b" 200 " not in answer[:16]:
                    raise SystemExit(f"answered {answer!r}")
            if number < count:
                each.sendall(self._request)
        return time.perf_counter() - began, run_s([pid]) - used


def median(ratios: Sequence[float]) -> str:
    """Return the median with its 95 % interval, which order statistics give."""
    ordered = np.sort(ratios)
    half = 0.98 * np.sqrt(len(ordered))
    low, high = (int(len(ordered) / 2 + side) for side in (-half, half))
    return f"{np.median(ordered):.3f} ({ordered[low]:.3f} to {ordered[high]:.3f})"


def measure(way: str, path: str, services: RunningServices, options: argparse.Namespace) -> None:
    """Measure one application's answers to one path and print both ratios."""
    url = services.clone(make_scenario("read", {}).workload().data, f"attach_{way}_{path}")
    rates, costs, plain_ms = [], [], []
    for _ in range(options.starts):
        with serving(way, url) as (pid, ports):
            pin([pid], services.roles()["postgresql"])
            plain, attached = (Client(port, path) for port in ports)
            for each in (plain, attached):
                each.ask(1000, pid)
            for number in range(options.turns):
                order = (plain, attached) if number % 2 else (attached, plain)
                took = {each: each.ask(options.requests, pid) for each in order}
                rates.append(took[plain][0] / took[attached][0])
                costs.append(took[attached][1] / took[plain][1])
                plain_ms.append(took[plain][1] * 1000 / options.requests)
    services.drop(url)
    print(
        f"{way:<8} {path:<6} requests/s {median(rates)}  CPU a request {median(costs)}"
        f"  without: {np.median(plain_ms):.2f} ms  ({len(rates)} pairs of turns)",
        flush=True,
    )


def main() -> int:
    """Measure what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ways", default="tornado,fastapi")
    parser.add_argument("--paths", default="light,read")
    parser.add_argument("--requests", type=int, default=150, help="in one turn")
    parser.add_argument("--turns", type=int, default=150)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        way, url, *ports = options.serve
        asyncio.run(serve(way, url, [int(port) for port in ports]))
        return 0
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningServices(Path(folder), "attach", with_broker=False) as services,
    ):
        for way in options.ways.split(","):
            for path in options.paths.split(","):
                measure(way, path, services, options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
