"""What a variant takes to deploy: parts, packages, cold start, memory, and what fails."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from asyncdb_bench.contract.route import Request
from asyncdb_bench.contract.scenario import example_params
from asyncdb_bench.contract.urls import broker_place, place_of
from asyncdb_bench.errors import ServiceError
from asyncdb_bench.extensions.deployment.section import FILE, Deployment, Killed
from asyncdb_bench.measure.family import Family
from asyncdb_bench.measure.launch import READY_S, Launch, Processes
from asyncdb_bench.measure.loop import Display
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.plan.registry import CHECKOUT, make_scenario, strategy_class
from asyncdb_bench.processes import kernel
from asyncdb_bench.records.plan import Pinning, Plan, PlannedScenario, Settings, Variant
from asyncdb_bench.services.running import Services


class Weight(NamedTuple):
    """How many packages, and their files' size in MB; None: some is not installed here."""

    packages: int
    megabytes: float | None


def closure(roots: Iterable[str]) -> set[str]:
    """Return the names of all packages that these need in this environment, themselves included.

    Parameters
    ----------
    roots : requirements as pip reads them, e.g. ``"sqlalchemy[asyncio]"``.
    """
    found: set[tuple[str, str]] = set()
    todo = [Requirement(root) for root in roots]
    while todo:
        wanted = todo.pop()
        name = str(canonicalize_name(wanted.name))
        for extra in ("", *wanted.extras):
            if (name, extra) in found:
                continue
            found.add((name, extra))
            todo += [each for each in _required(name) if _applies(each, extra)]
    return {name for name, _ in found}


def _required(name: str) -> list[Requirement]:
    try:
        return [Requirement(each) for each in distribution(name).requires or []]
    except PackageNotFoundError:
        return []


def _applies(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    if marker is None:
        return not extra
    return marker.evaluate({"extra": extra})


def weigh(roots: Iterable[str]) -> Weight:
    """Return how many packages these roots bring, and how large they are."""
    names = closure(roots)
    try:
        size = sum(_size(distribution(name)) for name in names)
    except PackageNotFoundError:
        return Weight(len(names), None)
    return Weight(len(names), size / 1e6)


def _size(found: Distribution) -> int:
    paths = (found.locate_file(each) for each in found.files or [])
    return sum(path.stat().st_size for path in map(_path, paths) if path.is_file())


def _path(located: object) -> Path:
    return Path(str(located))


EVERY_S = 0.05
AT_ONCE = 64
STEADY = 5
"""So many right answers in a row are an application that answers again."""


class ProbeAnswer(NamedTuple):
    """One question: when it was asked (monotonic seconds), how long it took, what came.

    `status` is HTTP's, 0 where no answer came; `right` whether it is that of a right answer.
    """

    asked_s: float
    took_s: float
    status: int
    right: bool


class Prober:
    """Asks the same every 50 ms, each time on a connection of its own, whatever became of the last.

    Parameters
    ----------
    port : of the application on loopback.
    asked : what to ask.
    timeout_s : after which an answer does not count any more.
    expects : whether a status is that of a right answer.
    """

    def __init__(
        self,
        port: int,
        asked: Request,
        timeout_s: float,
        expects: Callable[[int], bool] = lambda status: status == http.client.OK,
    ) -> None:
        self.expects = expects
        self.port = port
        self.asked = asked
        self.timeout_s = timeout_s
        self.answers: list[ProbeAnswer] = []
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prober")
        self._thread = threading.Thread(target=self._ask_all, name="prober", daemon=True)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._pool.shutdown(wait=True)

    def ask(self) -> ProbeAnswer:
        """Ask once."""
        asked, status = time.monotonic(), 0
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            connection.request(
                self.asked.method, self.asked.target, self.asked.body or None, self.asked.headers
            )
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        return ProbeAnswer(asked, time.monotonic() - asked, status, self.expects(status))

    def steady_since(self, moment_s: float) -> bool:
        """Return whether the last few questions, all asked after a moment, were answered."""
        after = sorted(each for each in list(self.answers) if each.asked_s > moment_s)
        last = after[-STEADY:]
        return len(last) == STEADY and all(each.right for each in last)

    def _ask_all(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._pool.submit(lambda: self.answers.append(self.ask()))
            due += EVERY_S


def back_after_s(answers: list[ProbeAnswer], moment_s: float) -> float | None:
    """Return how long after a moment the application answered again and went on to, seconds.

    Parameters
    ----------
    answers : in any order.
    moment_s : when something was killed.

    Returns
    -------
    From the moment to the first right answer after the last failure; 0 where nothing failed; None
    where it does not answer at the end.
    """
    after = sorted(each for each in answers if each.asked_s + each.took_s > moment_s)
    failed = [place for place, each in enumerate(after) if not each.right]
    if not failed:
        return 0.0
    rest = after[failed[-1] + 1 :]
    if len(rest) < STEADY:
        return None
    return min(each.asked_s + each.took_s for each in rest) - moment_s


CALM_S = 1.0
LIMIT_S = 30.0
"""How long an application is given to answer again."""
RESTING_S = 1.0
COMPOSE = CHECKOUT / "docker-compose.yml"


def measure_deployments(context: RunContext, plan: Plan, display: Display) -> None:
    """Measure what each variant takes to deploy; one that does not start is left out, and told."""
    # the first that is no chat
    scenario = next((each for each in plan.scenarios if not each.websocket), None)
    if scenario is None:
        return
    for variant in plan.variants:
        if variant.not_run:
            continue
        display.say(f"deployment of {variant.label}: cold start, memory, and each part killed")
        try:
            deployment = measure_deployment(
                variant,
                scenario,
                context.services,
                context.folder.logs,
                context.settings,
                context.pinning,
            )
        except ServiceError as error:
            display.say(f"deployment of {variant.label} was not measured: {error}")
        else:
            context.folder.append_record(FILE, deployment)


def measure_deployment(
    variant: Variant,
    scenario: PlannedScenario,
    services: Services,
    logs: Path,
    settings: Settings,
    pinning: Pinning,
) -> Deployment:
    """Start a variant, look at it, and kill each of its parts in turn.

    Parameters
    ----------
    variant : what to deploy.
    scenario : the scenario whose first operation is asked meanwhile, 20 times a second.
    services : that run already.
    logs : folder for the processes' logs.
    settings, pinning : of the run.

    Raises
    ------
    ServiceError : it does not start.
    """
    name = "deployment-" + re.sub(r"[^A-Za-z0-9_=-]+", "_", variant.label)[:60]
    launch = Launch(
        variant=variant,
        scenarios=(scenario,),
        name=name,
        queue=f"asyncdb-bench-{name}-{time.time_ns()}",
        timeout_s=min(settings.timeout_s, 2.0),
        pinning=pinning,
    )
    database = services.clone(
        make_scenario(scenario.scenario, scenario.knobs).workload().data, name
    )
    try:
        with running(launch, services, logs, database) as (family, processes, cold_start_s):
            return _look(variant, scenario, services, family, processes, cold_start_s)
    finally:
        services.clean(launch.queue)
        services.drop(database)


@contextmanager
def running(
    launch: Launch, services: Services, logs: Path, database: str
) -> Iterator[tuple[Family, Processes, float]]:
    """Start a variant and yield how long it took until its first right answer, seconds."""
    family = Family(launch, logs)
    began = time.monotonic()
    try:
        processes = family.start(services, database)
        prober = make_prober(launch.scenarios[0], processes.port, launch.timeout_s)
        while not prober.ask().right:
            if time.monotonic() - began > READY_S:
                raise ServiceError(f"{launch.variant.label} gave no right answer in {READY_S:g} s")
        yield family, processes, time.monotonic() - began
    finally:
        family.stop(1)


def make_prober(scenario: PlannedScenario, port: int, timeout_s: float) -> Prober:
    """Return a prober of a scenario's first operation."""
    name = next(iter(scenario.mix))
    made = make_scenario(scenario.scenario, scenario.knobs)
    params = example_params(made, name, np.random.default_rng(1))
    operation = made.workload().operations[name]
    return Prober(port, operation.request(params), timeout_s + 1, operation.route.expects)


def _look(
    variant: Variant,
    scenario: PlannedScenario,
    services: Services,
    family: Family,
    processes: Processes,
    cold_start_s: float,
) -> Deployment:
    time.sleep(RESTING_S)
    roles = {
        "app": [each.pid for each in processes.apps],
        "workers": [each.pid for each in processes.workers],
    }
    if variant.brokers:
        roles["broker"] = services.roles().get("broker", [])
    kept = {role: pids for role, pids in roles.items() if pids}
    memory = {role: kernel.memory_mb(pids) for role, pids in kept.items()}
    packages = weigh(strategy_class(variant.strategy).packages)
    found = Deployment(
        variant=variant.label,
        processes={role: len(kernel.tree(pids)) for role, pids in kept.items() if role != "broker"},
        servers=(
            "PostgreSQL",
            *(["broker"] if variant.brokers and not variant.one_redis else []),
            *(["Redis for results"] if variant.needs_store else []),
        ),
        config_lines=config_lines(variant),
        packages=packages.packages,
        packages_mb=packages.megabytes,
        cold_start_s=cold_start_s,
        rest_mb={role: rss if pss is None else pss for role, (rss, pss) in memory.items()},
        connections=connections(roles["app"] + roles["workers"], services, processes.database),
        killed=(),
    )
    killed = []
    for part, kill in victims(family, services, variant):
        killed.append(kill_and_watch(part, kill, scenario, processes.port, family.launch.timeout_s))
        if killed[-1].back_s is None:
            break
    return replace(found, killed=tuple(killed))


def config_lines(variant: Variant) -> int | None:
    """Count the lines of docker-compose.yml that a variant's parts need; None where there is none.

    Blank lines and comments are not counted; what the services share is.
    """
    if not COMPOSE.is_file():
        return None
    wanted = {"postgres", "app"} | ({"rabbitmq", "worker"} if variant.brokers else set())
    count, service, inside = 0, "", False
    for line in COMPOSE.read_text().splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not line.startswith(" "):
            inside, service = text == "services:", ""
        elif inside and line.startswith("  ") and line[2] != " ":
            service = text.rstrip(":")
        count += inside and service in wanted
    return count


def connections(pids: list[int], services: Services, database: str) -> dict[str, int]:
    """Count the TCP connections that these processes hold, by what they lead to."""
    ports = {place_of(database)[1]: "postgresql"}
    if services.broker is not None:
        ports[broker_place(services.broker.url)[1]] = "broker"
    if services.store is not None:
        ports.setdefault(broker_place(services.store.url)[1], "results")
    counted: Counter[str] = Counter()
    for process in kernel.tree(pids):
        try:
            held = process.net_connections("tcp")
        except psutil.Error:
            continue
        counted.update(
            ports[each.raddr.port] for each in held if each.raddr and each.raddr.port in ports
        )
    return dict(counted)


def victims(
    family: Family, services: Services, variant: Variant
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield each part with what kills it (SIGKILL) and, as a supervisor would, starts it again."""
    yield "application", lambda: family.respawn(family.apps[0])
    if family.workers:
        children = psutil.Process(family.workers[0].pid).children()
        if children:
            yield "a worker's child", children[0].kill
        yield "worker", lambda: family.respawn(family.workers[0])
    restarts = services.restarts()
    if variant.brokers and "broker" in restarts:
        yield "broker", restarts["broker"]
    if "postgresql" in restarts:
        yield "PostgreSQL", restarts["postgresql"]


def kill_and_watch(
    part: str, kill: Callable[[], None], scenario: PlannedScenario, port: int, timeout_s: float
) -> Killed:
    """Kill a part under a light load and watch until the application answers again."""
    health = Prober(port, Request("GET", "/healthz", {}, b""), timeout_s + 1)
    with make_prober(scenario, port, timeout_s) as prober, health:
        time.sleep(CALM_S)
        moment = time.monotonic()
        kill()
        killed = time.monotonic()
        # what was asked just before may still be failing
        time.sleep(timeout_s)
        while not prober.steady_since(killed) and time.monotonic() < moment + LIMIT_S:
            time.sleep(0.1)
        time.sleep(CALM_S)
    meanwhile = [each for each in prober.answers if each.asked_s + each.took_s > moment]
    failed = [each for each in meanwhile if not each.right]
    return Killed(
        part=part,
        asked=len(meanwhile),
        failed=len(failed),
        how=dict(Counter(_how(each) for each in failed)),
        back_s=back_after_s(prober.answers, moment),
        health_ms=longest_ms(health.answers, moment) if part != "application" else None,
    )


def longest_ms(answers: list[ProbeAnswer], moment_s: float) -> float:
    """Return the longest that a request without database work took after a moment, milliseconds."""
    return max((1000 * a.took_s for a in answers if a.asked_s + a.took_s > moment_s), default=0.0)


def _how(answer: ProbeAnswer) -> str:
    return str(answer.status) if answer.status else "no answer"
