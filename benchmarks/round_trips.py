"""How many round trips to the database a request takes: counts, not times.

``PYTHONPATH=. .venv/bin/python benchmarks/round_trips.py`` puts a proxy between one connection and
the database that counts how often the client speaks after the server did, and prints, for each
driver, the mean over 200 requests after 600 others. ``--via pgbouncer`` asks through PgBouncer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from asyncdb_bench.contract.engine import AsyncSessions, make_async_engine
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.plan.request import parse_specs
from asyncdb_bench.records.plan import Reach
from asyncdb_bench.services.program import free_port
from asyncdb_bench.services.reaching import Between
from asyncdb_bench.services.running import RunningServices

SCENARIOS = (
    "read,page:queries=1:entities=core,page:queries=1:entities=core:commit=false,"
    "page:queries=1:shapes=50,page:queries=1:shapes=150,page:queries=1:shapes=200,"
    "page:queries=1:shapes=1000"
)


class Proxy:
    """Passes on what it is given, and counts.

    Parameters
    ----------
    host, port : where the database is.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = host, port
        self.trips = 0
        self._answered = True

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        there, back = await asyncio.open_connection(*self.target)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pass(reader, back, asks=True), self._pass(there, writer, asks=False)
            )

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asks: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(1 << 20):
                if asks:
                    self.trips += self._answered
                self._answered = not asks
                sink.write(data)
                await sink.drain()
        sink.close()


async def count(url: str, spec: str, driver: str, options: argparse.Namespace) -> float:
    """Return the mean of the round trips of a scenario's requests on a warm connection."""
    (wanted,) = parse_specs(spec)
    scenario = make_scenario(wanted.name, wanted.knobs)
    operations, rng = scenario.workload().operations, np.random.default_rng(1)
    (name,) = scenario.mix()
    place = urlsplit(url)
    proxy, port = Proxy(place.hostname or "", place.port or 5432), free_port()
    server = await asyncio.start_server(proxy.carry, "127.0.0.1", port)
    engine = make_async_engine(url.replace(f":{place.port}", f":{port}"), 1, 10, driver=driver)
    sessions = AsyncSessions(engine, autocommit=options.autocommit)
    for number in range(options.warm + options.requests):
        if number == options.warm:
            proxy.trips = 0
        await sessions.run(operations[name], scenario.params(name, rng))
    trips: float = proxy.trips / options.requests
    await engine.dispose()
    server.close()
    return trips


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scenarios", default=SCENARIOS)
    parser.add_argument("--via", default="direct", choices=("direct", "pgbouncer"))
    parser.add_argument("--autocommit", action="store_true")
    parser.add_argument("--warm", type=int, default=600)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    reach = Reach(via=options.via)
    with tempfile.TemporaryDirectory() as folder:
        services = RunningServices(Path(folder), "trips", with_broker=False)
        services.between = Between((reach,), pooled=2)
        with services:
            for spec in options.scenarios.split(","):
                (wanted,) = parse_specs(spec)
                data = make_scenario(wanted.name, wanted.knobs).workload().data
                database = services.clone(data, "trips")
                url = services.reached(database, reach, through=False)
                found = [
                    f"{driver} {asyncio.run(count(url, spec, driver, options)):.2f}"
                    for driver in ("asyncpg", "psycopg")
                ]
                services.drop(database)
                print(f"{spec:<45}", *found, flush=True)


if __name__ == "__main__":
    main()
