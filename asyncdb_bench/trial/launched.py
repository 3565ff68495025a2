"""A launch from start to end: a fresh database, the processes on it, and nothing left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.trial.family import Family
from asyncdb_bench.trial.launch import STOP_S, Launch, Processes, Services, dropped
from asyncdb_bench.trial.target_family import TargetFamily


@contextlib.contextmanager
def launched(launch: Launch, services: Services, logs: Path) -> Iterator[Processes]:
    """Start everything on a fresh database, and end it again whatever happens.

    Raises
    ------
    ServiceError : something did not get ready.
    """
    data = make_scenario(launch.scenario.scenario, launch.scenario.knobs).workload().data
    database = services.clone(data, launch.name)
    with contextlib.ExitStack() as stack:
        stack.callback(services.clean, launch.queue)
        stack.callback(dropped, services, database)
        family = make_family(launch, logs)
        # Whatever ends the trial but its regular end must end the processes at once.
        stack.push(lambda kind, *_: family.stop(0 if kind is not None else STOP_S))
        yield family.start(services, database)


AnyFamily = Family | TargetFamily


def make_family(launch: Launch, logs: Path) -> AnyFamily:
    """Return what starts and ends a launch's processes."""
    if launch.variant.target is not None:
        return TargetFamily(launch, logs)
    return Family(launch, logs)
