"""The processes of one launch of ours: workers and application, started together, always ended."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from asyncdb_bench import clock
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.measure.launch import (
    READY_S,
    STOP_S,
    Launch,
    Processes,
    dropped,
)
from asyncdb_bench.measure.target_family import TargetFamily
from asyncdb_bench.plan.cores import on_cores, worker_cores
from asyncdb_bench.processes.child import Child
from asyncdb_bench.records.messages import AppConfig, Asked, Config, Ready, WorkerConfig
from asyncdb_bench.services.running import Services

ROLES = {
    "asyncdb_bench.app": "application",
    "asyncdb_bench.app.celery_worker": "workers",
    "asyncdb_bench.app.queue_worker": "workers",
}
"""Which role a module plays; none: it stays on this machine."""


def _wait_for(workers: tuple[Child, ...]) -> None:
    for worker in workers:
        worker.receive(Ready, READY_S)


class Family:
    """The children of one launch."""

    def __init__(self, launch: Launch, logs: Path) -> None:
        self.launch = launch
        self.logs = logs
        self.children: list[Child] = []
        self.port = 0
        self._held = contextlib.ExitStack()
        self.apps: tuple[Child, ...] = ()
        self.workers: tuple[Child, ...] = ()
        self.made: dict[int, tuple[str, Config | None, str, Sequence[int]]] = {}

    def start(self, services: Services, database: str) -> Processes:
        """Start all at once, so that they import at the same time, and wait until all are ready."""
        self.begin(services, database)
        return self.ready(database)

    def begin(self, services: Services, database: str) -> None:
        """Start all at once and wait for none."""
        launch = self.launch
        shared = self._shared(services, database)
        self.workers = tuple(self._workers(shared)) if launch.with_workers else ()
        self.port = self._held.enter_context(self._shared_port())
        self.apps = tuple(self._applications(shared, self.port))

    def ready(self, database: str) -> Processes:
        """Wait until all that was begun is ready.

        Raises
        ------
        ServiceError : something did not get ready.
        """
        launch, workers = self.launch, self.workers
        with self._held:
            _wait_for(workers)
            (port,) = {app.receive(Ready, READY_S).port for app in self.apps}
        self.port = port
        return Processes(
            apps=self.apps,
            workers=workers,
            port=port,
            database=database,
            queue=launch.queue,
            end=lambda: self.stop(STOP_S),
            host=launch.host,
            clock=launch.placement.at("application").clock,
        )

    def start_workers(self, services: Services, database: str) -> None:
        """Start the extra processes alone, and wait until they are ready."""
        _wait_for(tuple(self._workers(self._shared(services, database))))

    def stop(self, timeout_s: float) -> None:
        """End all; only the application has anything to close in order."""
        self._held.close()
        if timeout_s > 0 and self.launch.drain_s:
            timeout_s += self.launch.drain_s
            # at once: none takes new connections while others are answering
            for app in self.apps:
                app.popen.terminate()
        for child in reversed(self.children):
            child.stop(timeout_s if child in self.apps else 0)

    @contextlib.contextmanager
    def _shared_port(self) -> Iterator[int]:
        """Hold a port for several applications to share while they start.

        A socket that is bound and does not listen gets no connections.
        """
        launch = self.launch
        if launch.variant.processes == 1:
            yield launch.port
            return
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                held.bind((launch.host, launch.port))
            except OSError as error:
                raise ServiceError(
                    f"cannot listen on {launch.host}:{launch.port}: {error.strerror}; choose"
                    " another --port"
                ) from error
            yield held.getsockname()[1]

    def _applications(self, shared: Mapping[str, Any], port: int) -> Iterator[Child]:
        variant = self.launch.variant
        for place, own in enumerate(variant.shares):
            config = self._app_config(shared, dict(own), port)
            role = "app" if variant.processes == 1 else f"app{place}"
            yield self._child("asyncdb_bench.app", config, role, self.launch.pinning.of("app"))

    def _child(self, module: str, config: Config | None, role: str, cores: Sequence[int]) -> Child:
        name = f"{self.launch.variant.label} ({role})"
        elsewhere = self.launch.variant.elsewhere
        place = self.launch.placement.at(ROLES.get(module, ""))
        log = self.logs / f"{self.launch.name}-{role}.log"
        with on_cores(cores):
            child = Child(module, config, log, name, elsewhere, place)
        self.children.append(child)
        self.made[child.pid] = (module, config, role, cores)
        return child

    def respawn(self, child: Child) -> None:
        """Kill an application or a worker, start it again as it was, and wait until it is ready.

        Raises
        ------
        ServiceError : it does not start again.
        """
        module, config, role, cores = self.made[child.pid]
        assert config is not None
        child.stop(0)
        if isinstance(config, AppConfig):
            config = msgspec.structs.replace(config, port=self.port)
        again = self._child(module, config, role, cores)
        self.apps = tuple(again if each is child else each for each in self.apps)
        self.workers = tuple(again if each is child else each for each in self.workers)
        again.receive(Ready, READY_S)

    def _shared(self, services: Services, database: str) -> Mapping[str, Any]:
        """Return what the configurations of application and workers have in common."""
        launch = self.launch
        broker = services.broker_for(launch.variant.brokers)
        store = services.store if launch.variant.needs_store else None
        first, *rest = launch.scenarios
        through = launch.through
        return {
            "scenario": first.scenario,
            "scenario_knobs": dict(first.knobs),
            "further": tuple(Asked(each.label, each.scenario, dict(each.knobs)) for each in rest),
            "database_url": services.reached(database, launch.reaches[0], through=through),
            "broker": services.broker_reached(broker, through=through),
            "store": services.broker_reached(store, through=through),
            "queue": launch.queue,
            "timeout_s": launch.timeout_s,
            "fault": launch.variant.fault,
            "worker_clock_differs": self._worker_clock_differs(),
        }

    def _worker_clock_differs(self) -> bool:
        placement = self.launch.placement
        return not clock.same(placement.at("application").clock, placement.at("workers").clock)

    def _workers(self, shared: Mapping[str, Any]) -> Iterator[Child]:
        cores = worker_cores(self.launch.pinning, self.launch.variant)
        for part in self.launch.variant.parts:
            config = WorkerConfig(part=dict(part.options), **shared)
            for copy in range(part.copies):
                yield self._child(part.module, config, f"{part.role}{copy}", cores)

    def _app_config(self, shared: Mapping[str, Any], knobs: dict[str, Any], port: int) -> AppConfig:
        variant = self.launch.variant
        return AppConfig(
            strategy=variant.strategy,
            knobs=knobs,
            reuse_port=variant.processes > 1,
            uvloop=variant.knobs["uvloop"],
            gc_freeze=variant.knobs["gc_freeze"],
            drain_s=self.launch.drain_s,
            host=self.launch.host,
            port=port,
            **shared,
        )


AnyFamily = Family | TargetFamily


def make_family(launch: Launch, logs: Path) -> AnyFamily:
    """Return what starts and ends a launch's processes."""
    if launch.variant.target is not None:
        return TargetFamily(launch, logs)
    return Family(launch, logs)


def begin_family(
    stack: contextlib.ExitStack, launch: Launch, services: Services, logs: Path
) -> tuple[AnyFamily, str]:
    """Start a launch's processes on a fresh database and wait for none.

    Parameters
    ----------
    stack : on which all of it is ended again: at once where it is left by an exception.
    launch, services : what to start, on what.
    logs : folder for what they print.

    Returns
    -------
    The processes that were begun, and the database's URL.

    Raises
    ------
    ServiceError : something cannot be started.
    """
    database = services.clone(launch.data, launch.name)
    stack.callback(services.clean, launch.queue)
    stack.callback(dropped, services, database)
    family = make_family(launch, logs)
    stack.push(lambda kind, *_: family.stop(0 if kind is not None else STOP_S))
    family.begin(services, database)
    return family, database


@contextlib.contextmanager
def launched(launch: Launch, services: Services, logs: Path) -> Iterator[Processes]:
    """Start one variant by itself, and end it again whatever happens.

    The services are as far away as its first scenario says.

    Raises
    ------
    ServiceError : something did not get ready.
    """
    with contextlib.ExitStack() as stack:
        family, database = begin_family(stack, launch, services, logs)
        services.set_reach(launch.reaches[0])
        yield family.ready(database)
