"""Which role runs on which cores; so that the client never waits for what it measures.

Affinity is a property of a thread, inherited by what it starts: a process is started from a
thread that is on the wanted cores for that moment.

An application is launched once for all scenarios that can share it, and asked for each of them in
turn. What each needs is a route of its own for each operation, and the same tables.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.errors import UsageError
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.plan import Pinning, PlannedScenario, Variant

if TYPE_CHECKING:
    from asyncdb_bench.records.messages import WorkConfig

SYSTEM = ("app", "workers")
SERVICES = ("postgresql", "broker")
SHARED = "shared"
TOPOLOGY = Path("/sys/devices/system/cpu")


def share_out(spec: str, usable: Sequence[int]) -> Pinning:
    """Share the cores out among the roles.

    Parameters
    ----------
    spec : ``"auto"``: half for the system under test (application and workers together), one for
        the load, what is left for the services, which share the load's where nothing is left;
        ``"off"``; three lists of cores, ``"0-1/2/3"``: system, services, load; or four,
        ``"0/1/2/3"``: application, workers, services, load.
    usable : the cores that this process may use; those that share a physical core side by side.

    Raises
    ------
    UsageError : not such a list, or cores that may not be used.
    """
    if spec == "off":
        return Pinning(problem="not pinned: cpus=off")
    if spec != "auto":
        return _given(spec, usable)
    if len(usable) < 2:
        return Pinning(problem="not pinned: there is one core for everything")
    half = len(usable) // 2
    rest = usable[half:]
    return _pinning(usable[:half], rest[:-1] or rest, rest[-1:])


def _pinning(
    app: Sequence[int], services: Sequence[int], load: Sequence[int], workers: Sequence[int] = ()
) -> Pinning:
    system = dict(zip(SYSTEM, (tuple(app), tuple(workers or app)), strict=True))
    return Pinning(system | dict.fromkeys(SERVICES, tuple(services)) | {"load": tuple(load)})


def worker_cores(pinning: Pinning, variant: Variant) -> tuple[int, ...]:
    """Return the cores of a variant's workers: those of the role, or the application's."""
    return pinning.of("app" if variant.knobs.get("worker_cores") == SHARED else "workers")


def _given(spec: str, usable: Sequence[int]) -> Pinning:
    try:
        parts = [numbers(part) for part in spec.split("/")]
        if len(parts) not in (3, 4):
            raise ValueError(spec)
    except ValueError:
        raise UsageError(
            f"cpus={spec!r} is neither auto, off nor three lists such as 0-1/2/3"
            " (system under test/services/load) or four (application/workers/services/load)"
        ) from None
    missing = sorted({core for part in parts for core in part} - set(usable))
    if missing:
        raise UsageError(f"cpus={spec!r}: core {missing[0]} is not among the usable {list(usable)}")
    app, *workers, services, load = parts
    return _pinning(app, services, load, workers[0] if workers else ())


def numbers(text: str) -> tuple[int, ...]:
    """Return the cores of a list such as ``0-1,4``.

    Raises
    ------
    ValueError : it is none.
    """
    found: list[int] = []
    for piece in text.split(","):
        low, _, high = piece.partition("-")
        found += range(int(low), int(high or low) + 1)
    if not found:
        raise ValueError(text)
    return tuple(found)


def usable_cores() -> tuple[int, ...]:
    """Return the cores that this process may use, those of one physical core side by side."""
    if not hasattr(os, "sched_getaffinity"):
        return tuple(range(os.cpu_count() or 1))
    return tuple(sorted(os.sched_getaffinity(0), key=lambda core: (_physical(core), core)))


def _physical(core: int) -> tuple[int, ...]:
    folder = TOPOLOGY / f"cpu{core}" / "topology"
    try:
        names = ("physical_package_id", "core_id")
        return tuple(int((folder / name).read_text()) for name in names)
    except (OSError, ValueError):
        return (core,)


def permitted(pinning: Pinning) -> Pinning:
    """Return a pinning that the kernel permits: itself, or none with the reason."""
    if not hasattr(os, "sched_setaffinity"):
        return Pinning(problem="not pinned: this system has no CPU affinity")
    for cores in set(pinning.cores.values()):
        try:
            with on_cores(cores):
                pass
        except OSError as error:
            return Pinning(problem=f"not pinned: the kernel refused cores {cores}: {error}")
    return pinning


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Keep this thread, and what it starts meanwhile, on some cores; empty: leave it as it is.

    Raises
    ------
    OSError : the kernel refuses.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


Group = tuple[PlannedScenario, ...]


def sharing_groups(scenarios: Iterable[PlannedScenario]) -> list[Group]:
    """Return the scenarios in groups that share an application and its data.

    Parameters
    ----------
    scenarios : in the order of the run; the groups, and each group, keep it. A chat has an
        application of its own, since its members stay connected.
    """
    groups: list[tuple[object, dict[str, Operation], list[PlannedScenario]]] = []
    for asked in scenarios:
        workload = make_scenario(asked.scenario, asked.knobs).workload()
        own = asked.label if asked.websocket else ""
        key = (workload.data.key, asked.reach.via, asked.reach.tls, own)
        for known, operations, members in groups:
            if known == key and are_compatible(operations, workload.operations):
                operations.update(workload.operations)
                members.append(asked)
                break
        else:
            groups.append((key, dict(workload.operations), [asked]))
    return [tuple(members) for _, _, members in groups]


def are_compatible(one: Mapping[str, Operation], other: Mapping[str, Operation]) -> bool:
    """Return whether one application can serve both: no name and no route stands for two."""
    if any(one[name] is not other[name] for name in one.keys() & other.keys()):
        return False
    routes = {_place(each): name for name, each in one.items()}
    return all(routes.get(_place(each), name) == name for name, each in other.items())


def served_operations(config: WorkConfig) -> dict[str, Operation]:
    """Return the operations of all scenarios that a process is configured for, by name."""
    asked = [(config.scenario, config.scenario_knobs)]
    asked += [(each.scenario, each.knobs) for each in config.further]
    found: dict[str, Operation] = {}
    for name, knobs in asked:
        found |= make_scenario(name, knobs).workload().operations
    return found


def _place(operation: Operation) -> tuple[str, str, frozenset[tuple[str, str]]]:
    route = operation.route
    return route.method, route.pattern, route.constants
