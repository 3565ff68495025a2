"""The contract of a scenario: operations, how load arrives, and what counts as good enough."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from asyncdb_bench.contract.data.sources import NO_TABLES
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.session import Recorded, Session, begun, mix_of
from asyncdb_bench.errors import PluginError, UsageError
from asyncdb_bench.records.plan import Objective, Segment

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioKnobs:
    """Knobs of a scenario; a scenario adds its own by inheriting from this."""


AT_ONCE = (0.25, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64)


def loads_at_once(ms: float) -> tuple[float, ...]:
    """Return loads, 1/s, that keep 0.25 to 64 requests of some milliseconds under way at once."""
    unit_s = max(ms, 5) / 1000
    rates = [each / unit_s for each in AT_ONCE]
    return tuple(round(each, 1 if each >= 1 else 3) for each in rates)


class Data(Protocol):
    """Tables and their deterministic content."""

    @property
    def key(self) -> str:
        """Same key, same content: one seeded template database serves all that share it."""

    def create(self, connection: Any) -> None:
        """Create and fill the tables through a SQLAlchemy `Connection`, and commit."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What a scenario asks of the database.

    Parameters
    ----------
    data : the tables and their content.
    operations : by name.
    """

    data: Data
    operations: Mapping[str, Operation]


K = TypeVar("K", bound=ScenarioKnobs)


class Scenario(Generic[K]):
    """The work: operations, how load arrives, what is measured on top.

    A subclass sets `name`, `summary`, `tables` and either `asks_for` or `visits`, and writes
    :meth:`draw`, or names a file of `recorded` parameters. What depends on knobs it says by methods
    instead: :meth:`workload`, :meth:`mix`, :meth:`params`, :meth:`objective`, :meth:`ladder`.

    :meth:`workload` imports the database libraries where it is called, not at the top of the
    file: `bench.py list` imports every scenario.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Knobs: ClassVar[type[ScenarioKnobs]] = ScenarioKnobs
    websocket: ClassVar[bool] = False
    """A chat over WebSockets, with the operations `history`, `post` and `search`; not requests."""

    gallop: ClassVar[bool] = False
    """Climb the ladder two rungs at a time and then fill in the one below the first miss."""

    counted: ClassVar[tuple[str, ...]] = ()
    """Operations whose latency counts; empty: all. Others are load only."""

    pace_only: ClassVar[bool] = False
    """Its variants take turns at full speed alone, and their latency is not looked at."""

    profile: ClassVar[str] = "quick"
    """The profile that measures it where none is named."""

    tables: ClassVar[Data] = NO_TABLES
    """What is in the database; without it the scenario is for ``--target`` alone."""

    asks_for: ClassVar[Mapping[Operation, float]] = {}
    """Operations and their weights in the arrivals."""

    visits: ClassVar[tuple[Session, ...]] = ()
    """Sessions of several steps, instead of weights."""

    operations: ClassVar[tuple[Operation, ...]] = ()
    """Of the sessions."""

    recorded: ClassVar[Recorded | None] = None
    """Parameters from a file, for the operations that it names."""

    p99_ms: ClassVar[float] = 100.0
    """The objective."""

    loads: ClassVar[tuple[float, ...]] = (25, 50, 100, 200, 300, 400, 600, 800, 1000, 1500, 2000)
    """Offered loads of a ladder."""

    def __init__(self, knobs: K) -> None:
        self.knobs = knobs

    def place(self) -> Mapping[str, float]:
        """Return its place on the map by axis (``queries``, ``ms``, ``rows``); empty: none."""
        return {}

    def work(self) -> str:
        """Say what a request looks like, in a few words: ``one query of 50 ms``."""
        return self.summary

    def asks(self) -> Mapping[str, float]:
        """Return what every request asks of the database; empty: they differ.

        Returns
        -------
        ``queries`` that follow one another, ``ms`` that each takes in the database, ``rows`` that
        each returns. Scenarios that say so are what the model of a run is fitted to.
        """
        return {}

    users: ClassVar[int] = 50
    """Users who are about at a time, where it has sessions."""

    @classmethod
    def expand(cls, given: Mapping[str, str]) -> list[dict[str, str]]:
        """Return the knobs of each scenario that a request stands for: itself, or a grid."""
        return [dict(given)]

    def shape(self) -> tuple[Segment, ...]:
        """Return how the arrival rate changes during a step; empty: it does not."""
        return ()

    def draw(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw the parameters of one request that are not recorded; none, unless written."""
        return {}

    def workload(self) -> Workload:
        """Return the data and the operations."""
        return Workload(data=self.tables, operations=self._by_name)

    @functools.cached_property
    def _by_name(self) -> dict[str, Operation]:
        return {each.name: each for each in (*self.asks_for, *self.operations)}

    @functools.cached_property
    def _recorded_names(self) -> set[str]:
        return self.recorded.names(self.mix()) if self.recorded is not None else set()

    def mix(self) -> Mapping[str, float]:
        """Return the share of each operation in the arrivals; the shares sum to 1."""
        if self.visits:
            return mix_of(self.visits)
        total = sum(self.asks_for.values())
        if not total:
            raise PluginError(f"scenario {self.name!r} has neither `asks_for` nor `visits`")
        return {each.name: weight / total for each, weight in self.asks_for.items()}

    def sessions(self) -> tuple[Session, ...]:
        """Return what users do in several steps; empty: each request stands for itself."""
        return self.visits

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw the parameters of one request."""
        if self.recorded is not None and operation in self._recorded_names:
            return self.recorded.draw(self._by_name[operation], rng)
        return self.draw(operation, rng)

    def objective(self) -> Objective:
        """Return what must hold for an offered load to count as carried."""
        return Objective(p99_ms=self.p99_ms)

    def ladder(self) -> tuple[float, ...]:
        """Return the offered loads in arrivals per second, ascending."""
        return self.loads


class OwnScenario(Scenario[K]):
    """A scenario with tables, operations and routes of somebody's own."""


def example_params(
    scenario: Scenario[Any], operation: str, rng: np.random.Generator
) -> dict[str, Any]:
    """Draw the parameters of one request, also where a scenario has sessions.

    Raises
    ------
    UsageError : it is a later step of a session, whose parameters come of the answers before.
    """
    for each in scenario.sessions():
        first = begun(each, rng)
        if first.operation == operation:
            return first.params
    if scenario.sessions():
        raise UsageError(f"{operation!r} is a later step of a session: only its first can be asked")
    return scenario.params(operation, rng)
