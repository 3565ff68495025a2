"""A base for scenarios on tables of their own: what they have, as attributes of the class."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from asyncdb_bench.contract.data.tables import NO_TABLES
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.recorded import Recorded
from asyncdb_bench.contract.scenario import Data, Scenario, ScenarioKnobs, Workload
from asyncdb_bench.contract.session import Session, mix_of
from asyncdb_bench.errors import PluginError
from asyncdb_bench.records.plan import Objective

if TYPE_CHECKING:
    import numpy as np

K = TypeVar("K", bound=ScenarioKnobs)


class OwnScenario(Scenario[K]):
    """Own tables, own operations, own routes.

    A subclass sets `name`, `summary`, `tables` and either `asks_for` or `visits`, and writes
    :meth:`draw`, or names a file of `recorded` parameters.
    """

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

    def draw(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw the parameters of one request that are not recorded; none, unless written."""
        return {}

    def workload(self) -> Workload:
        """Return the tables and the operations."""
        return Workload(data=self.tables, operations=self._by_name)

    @functools.cached_property
    def _by_name(self) -> dict[str, Operation]:
        return {each.name: each for each in (*self.asks_for, *self.operations)}

    @functools.cached_property
    def _recorded_names(self) -> set[str]:
        return self.recorded.names(self.mix()) if self.recorded is not None else set()

    def mix(self) -> Mapping[str, float]:
        """Return the shares: of the weights, or of the sessions' steps."""
        if self.visits:
            return mix_of(self.visits)
        total = sum(self.asks_for.values())
        if not total:
            raise PluginError(f"scenario {self.name!r} has neither `asks_for` nor `visits`")
        return {each.name: weight / total for each, weight in self.asks_for.items()}

    def sessions(self) -> tuple[Session, ...]:
        """Return the sessions."""
        return self.visits

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw the parameters of one request."""
        if self.recorded is not None and operation in self._recorded_names:
            return self.recorded.draw(self._by_name[operation], rng)
        return self.draw(operation, rng)

    def objective(self) -> Objective:
        """Return the objective."""
        return Objective(p99_ms=self.p99_ms)

    def ladder(self) -> tuple[float, ...]:
        """Return the offered loads."""
        return self.loads
