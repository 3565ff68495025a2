"""All variants of a block started at once, with one load for all of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.plan.cores import on_cores, worker_cores
from asyncdb_bench.plan.registry import make_scenario
from asyncdb_bench.records.messages import Ready
from asyncdb_bench.records.plan import Block, Pinning, PlannedScenario, Trial, Variant
from asyncdb_bench.trial import kernel
from asyncdb_bench.trial.child import Child
from asyncdb_bench.trial.hosts import agent_messages as m
from asyncdb_bench.trial.launch import (
    READY_S,
    STOP_S,
    Launch,
    Processes,
    dropped,
    load_config,
)
from asyncdb_bench.trial.launched import AnyFamily, make_family
from asyncdb_bench.trial.run_context import RunContext
from asyncdb_bench.trial.target_family import TargetFamily


class Launching:
    """Starts the variants of a block.

    Parameters
    ----------
    context : what all trials share.
    block, variants, scenario : what to start; variants by label.

    Attributes
    ----------
    failed : trials whose processes did not get ready, and why.
    """

    def __init__(
        self,
        context: RunContext,
        block: Block,
        variants: Mapping[str, Variant],
        scenario: PlannedScenario,
    ) -> None:
        self.context = context
        self.block = block
        self.variants = variants
        self.scenario = scenario
        self.failed: list[tuple[Trial, ServiceError]] = []
        # starting is faster on all cores, and is not measured
        given = context.pinning.cores
        cores = tuple(sorted({core for each in given.values() for core in each}))
        self.everywhere = Pinning(dict.fromkeys(given, cores))

    def all(self, stack: contextlib.ExitStack) -> tuple[Child, list[tuple[Trial, Processes]]]:
        """Start all, so that they import at the same time; return the load and who is ready.

        Parameters
        ----------
        stack : on which everything is ended again: at once where it is left by an exception.

        Raises
        ------
        ServiceError : the load does not get ready.
        """
        load = self._load(stack)
        begun = [
            (trial, *found)
            for trial in self.block.trials
            if (found := self._begun(trial, stack)) is not None
        ]
        ready = [
            (trial, family.launch, processes)
            for trial, family, database in begun
            if (processes := self._ready(trial, family, database)) is not None
        ]
        if ready:
            _, launch, processes = ready[0]
            # the load knows how much it may keep under way; it is told whom to ask in each turn
            outstanding = self.context.settings.outstanding
            load.send(
                load_config(
                    replace(launch, outstanding=outstanding), processes.port, processes.host
                )
            )
            load.receive(Ready, READY_S)
            if self.context.load_set is None:
                pin(load.pid, self.context.pinning.of("load"))
        return load, [(trial, processes) for trial, _, processes in ready]

    def _load(self, stack: contextlib.ExitStack) -> Child:
        if self.context.load_set is not None:
            return self.context.load_set.child
        with on_cores(self.everywhere.of("load")):
            log = self.context.folder.logs / f"{self.block.trials[0].id}-load.log"
            load = Child("asyncdb_bench.load", None, log, "the load generator")
        stack.callback(load.stop, 0)
        return load

    def one(self, stack: contextlib.ExitStack, trial: Trial) -> Processes | None:
        """Start one variant afresh; None: it did not get ready, and stands in :attr:`failed`."""
        begun = self._begun(trial, stack)
        return None if begun is None else self._ready(trial, *begun)

    def _begun(self, trial: Trial, stack: contextlib.ExitStack) -> tuple[AnyFamily, str] | None:
        services = self.context.services
        launch = Launch(
            variant=self.variants[trial.variant],
            scenario=self.scenario,
            name=trial.id,
            queue=f"asyncdb-bench-{self.context.run_id}-{trial.id}",
            timeout_s=self.context.settings.timeout_s,
            pinning=self.everywhere,
            host=self.context.address,
            hosts=self.context.hosts,
        )
        try:
            data = make_scenario(self.scenario.scenario, self.scenario.knobs).workload().data
            database = services.clone(data, trial.id)
            stack.callback(services.clean, launch.queue)
            stack.callback(dropped, services, database)
            family = make_family(launch, self.context.folder.logs)
            stack.push(lambda kind, *_: family.stop(0 if kind is not None else STOP_S))
            family.begin(services, database)
        except ServiceError as error:
            self.failed.append((trial, error))
            return None
        return family, database

    def _ready(self, trial: Trial, family: AnyFamily, database: str) -> Processes | None:
        try:
            processes = family.ready(database)
        except ServiceError as error:
            self.failed.append((trial, error))
            family.stop(0)
            return None
        workers = processes.worker_pids
        pin_away(processes)
        # what runs already runs where its owner wants it
        foreign = isinstance(family, TargetFamily) and family.program is None
        ours = [] if foreign else processes.app_pids
        pinning = self.context.pinning
        for cores, pids in (
            (pinning.of("app"), ours),
            (worker_cores(pinning, self.variants[trial.variant]), workers),
        ):
            for pid in pids:
                pin(pid, cores)
        return processes


def pin_away(processes: Processes) -> None:
    """Put processes on other hosts on the cores that their host gives the role."""
    names = {"app": "application", "workers": "workers"}
    for host, roles in processes.away():
        for role, pids in roles.items():
            cores = host.host.cores.get(names[role], ())
            for pid in pids if cores else ():
                host.ask(m.Pin(pid, tuple(cores)), m.State)


def pin(pid: int, cores: Sequence[int]) -> None:
    """Put a process, its children and all their threads on some cores; none: leave them."""
    if not cores:
        return
    for process in kernel.tree([pid]):
        for thread in kernel.threads(process.pid):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, cores)
