"""All variants of a launch started at once, each for all scenarios that it can serve together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.measure.family import AnyFamily, begin_family
from asyncdb_bench.measure.launch import Launch, Processes
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.measure.target_family import TargetFamily
from asyncdb_bench.plan.cores import Group, worker_cores
from asyncdb_bench.records.messages import SHARES
from asyncdb_bench.records.plan import Pinning, Variant

PROCESS_MB = 90.0
"""What a process of ours takes, generously (measured: 50 to 80 MB; children share much of it)."""
KEPT_MB = 400.0
"""Left to the services and the machine."""


def needed_mb(variant: Variant) -> float:
    """Estimate what the processes of a variant take, MB."""
    at_once = 0
    for part in variant.parts:
        knobs = part.options.get("knobs", {})
        children = int(knobs.get("workers", 0)) if knobs.get("pool") == "prefork" else 0
        at_once += part.copies * (1 + children)
    return PROCESS_MB * (variant.processes + at_once)


def groups_that_fit(
    variants: Sequence[Variant], copies: int, available_mb: float
) -> list[tuple[Variant, ...]]:
    """Return the variants in as few groups as fit into memory, in their order.

    Parameters
    ----------
    variants : to launch.
    copies : sets of processes that each has: one for each group of scenarios on the same data.
    available_mb : of the machine. A variant that does not fit by itself is tried by itself.
    """
    found: list[list[Variant]] = []
    room = 0.0
    for variant in variants:
        need = copies * needed_mb(variant)
        if not found or need > room:
            found.append([])
            room = max(available_mb - KEPT_MB, 0.0)
        found[-1].append(variant)
        room -= need
    return [tuple(each) for each in found]


@dataclass(frozen=True, slots=True)
class Failed:
    """What did not get ready, and why."""

    launch: Launch
    error: ServiceError


class Launching:
    """Starts variants for groups of scenarios.

    Parameters
    ----------
    context : of the run.
    stack : on which everything is ended again: at once where it is left by an exception.
    """

    def __init__(self, context: RunContext, stack: contextlib.ExitStack) -> None:
        self.context = context
        self.stack = stack
        # starting is faster on all cores, and is not measured
        given = context.pinning.cores
        cores = tuple(sorted({core for each in given.values() for core in each}))
        self.everywhere = Pinning(dict.fromkeys(given, cores))

    def launch_of(self, variant: Variant, group: Group, name: str) -> Launch:
        """Return what to start for a variant.

        Parameters
        ----------
        variant, group : what, and for which scenarios.
        name : of its logs, its database and its queue.
        """
        return Launch(
            variant=variant,
            scenarios=group,
            name=name,
            queue=f"asyncdb-bench-{self.context.run_id}-{name}",
            timeout_s=self.context.settings.timeout_s,
            pinning=self.everywhere,
            host=self.context.placement.address(self.context.settings.address),
            placement=self.context.placement,
        )

    def start(
        self, launches: Sequence[Launch]
    ) -> tuple[list[tuple[Launch, Processes]], list[Failed]]:
        """Start all, so that they import at the same time; return what is ready and what failed."""
        begun: list[tuple[Launch, AnyFamily, str]] = []
        failed: list[Failed] = []
        for launch in launches:
            self.context.event("launch", launch.name)
            try:
                family, database = begin_family(
                    self.stack, launch, self.context.services, self.context.folder.logs
                )
            except ServiceError as error:
                failed.append(Failed(launch, error))
            else:
                begun.append((launch, family, database))
        # while they connect nothing is far away: connecting is not measured
        ready: list[tuple[Launch, Processes]] = []
        for launch, family, database in begun:
            try:
                processes = family.ready(database)
            except ServiceError as error:
                failed.append(Failed(launch, error))
                family.stop(0)
            else:
                self._pin(family, processes)
                ready.append((launch, processes))
        return ready, failed

    def _pin(self, family: AnyFamily, processes: Processes) -> None:
        """Put what was started on the cores of its roles."""
        # what runs already runs where its owner wants it
        foreign = isinstance(family, TargetFamily) and family.program is None
        pinning = self.context.pinning
        cores = {
            "app": () if foreign else pinning.of("app"),
            "workers": worker_cores(pinning, family.launch.variant),
        }
        for place, roles in processes.by_place():
            for role, pids in roles.items():
                place.pin(role, pids, cores[role])


def groups_of_variant(variant: Variant, groups: Sequence[Group]) -> list[Group]:
    """Return the groups of scenarios that a variant's processes serve, without what it refuses.

    Processes of a checkout that knows one scenario only have one for each.
    """
    alone = variant.elsewhere is not None and variant.elsewhere.protocol < SHARES
    found: list[Group] = []
    for group in groups:
        own = tuple(each for each in group if variant.label not in each.refused)
        found += [(each,) for each in own] if alone else [own] if own else []
    return found


def without_scenarios(launch: Launch, labels: Sequence[str]) -> Launch | None:
    """Return a launch without some scenarios; None: none is left."""
    left = tuple(each for each in launch.scenarios if each.label not in labels)
    return replace(launch, scenarios=left) if left else None
