"""Which scenarios one application can serve: those on the same data, told apart by operation. Pure.

An application is launched once for all scenarios that can share it, and asked for each of them in
turn. What each needs is a route of its own for each operation, and the same tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.messages import WorkConfig
from asyncdb_bench.records.plan import PlannedScenario

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


def members_of(groups: Sequence[Group], label: str) -> Group:
    """Return the group that a scenario belongs to."""
    return next(each for each in groups if any(asked.label == label for asked in each))


def _place(operation: Operation) -> tuple[str, str, frozenset[tuple[str, str]]]:
    route = operation.route
    return route.method, route.pattern, route.constants
