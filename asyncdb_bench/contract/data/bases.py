"""Bases of the built-in scenarios: what they share, without importing SQLAlchemy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from asyncdb_bench.contract.data.ready_tables import MOST_QUERIES, TABLES, is_world
from asyncdb_bench.contract.knob import knob
from asyncdb_bench.contract.scenario import OwnScenario, Scenario, ScenarioKnobs, Workload
from asyncdb_bench.records.plan import Objective

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardKnobs(ScenarioKnobs):
    """The size of the data."""

    rows: int = knob(100_000, unit="rows", low=1, high=50_000_000, help="accounts in the database")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowKnobs(StandardKnobs):
    """The size of the data and the slow query's time."""

    ms: float = knob(50.0, unit="ms", low=0, high=10_000, help="time the slow query takes")


S = TypeVar("S", bound=StandardKnobs)


class StandardScenario(Scenario[S]):
    """Accounts and counters, as in :mod:`asyncdb_bench.contract.data.accounts`."""

    Knobs = StandardKnobs

    def workload(self) -> Workload:
        """Return the standard data and operations."""
        from asyncdb_bench.contract.data.accounts import OPERATIONS, StandardData

        return Workload(data=StandardData(self.knobs.rows), operations=OPERATIONS)

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw an account to read or a counter to add to, uniformly."""
        if operation == "write":
            return {"counter": int(rng.integers(1, 1001)), "amount": int(rng.integers(1, 100))}
        return {"account": int(rng.integers(1, self.knobs.rows + 1))}


ROW_MS = 0.02
"""Time that the objective leaves for each row: entities of the ORM take about so long."""
STATEMENT_MS = 20.0
STEPS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostKnobs(ScenarioKnobs):
    """How many statements, how many rows, how wide, and as what."""

    authors: int = knob(20_000, unit="authors", low=1, high=5_000_000, help="each has two posts")
    queries: int = knob(5, unit="queries", low=1, high=100, help="statements of a request")
    rows: int = knob(1, unit="rows", low=1, high=10_000, help="that a statement returns")
    width: int = knob(100, unit="characters", low=1, high=10_000, help="of a post")
    entities: str = knob("orm", choices=("orm", "core"), help="ORM entities, or Core rows")


P = TypeVar("P", bound=PostKnobs)


class PostScenario(Scenario[P]):
    """Authors and posts, as in :mod:`asyncdb_bench.contract.data.posts`."""

    Knobs = PostKnobs

    def workload(self) -> Workload:
        """Return the data and the operations."""
        from asyncdb_bench.contract.data.posts import OPERATIONS, PostData

        knobs = self.knobs
        authors = max(knobs.authors, knobs.queries * knobs.rows + 1)
        return Workload(data=PostData(authors, knobs.width), operations=OPERATIONS)

    def first(self, rng: np.random.Generator, needed: int) -> int:
        """Draw the first of some rows that follow one another.

        Parameters
        ----------
        rng : to draw with.
        needed : how many follow.
        """
        last = max(1, self.knobs.authors - needed + 1)
        return int(rng.integers(1, last + 1))

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw where the rows begin, uniformly."""
        knobs = self.knobs
        return {
            "first": self.first(rng, knobs.queries * knobs.rows),
            "queries": knobs.queries,
            "rows": knobs.rows,
            "width": knobs.width,
        }

    def objective(self) -> Objective:
        """Return :meth:`usual_ms` as the objective."""
        return Objective(p99_ms=self.usual_ms())

    def ladder(self) -> tuple[float, ...]:
        """Return :meth:`usual_ladder`."""
        return self.usual_ladder()

    def usual_ms(self) -> float:
        """Return an objective: 100 ms, and time for each statement and row."""
        rows = self.knobs.queries * self.knobs.rows
        return round(100 + STATEMENT_MS * (self.knobs.queries - 1) + ROW_MS * rows)

    def usual_ladder(self) -> tuple[float, ...]:
        """Return loads about what a process carries that takes 0.6 ms for each statement."""
        rows = self.knobs.queries * self.knobs.rows
        most = 1000 / (0.4 + 0.6 * self.knobs.queries + ROW_MS * rows)
        return tuple(sorted({round(most * each, 1) for each in STEPS if most * each >= 0.1}))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueriesKnobs(ScenarioKnobs):
    """How many rows a request reads."""

    queries: int = knob(20, unit="queries", low=1, high=MOST_QUERIES, help="of a request")


class WorldScenario(OwnScenario[QueriesKnobs]):
    """Asks for as many rows as its knob says."""

    Knobs = QueriesKnobs
    tables = TABLES

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Ask for as many as the knob says."""
        return {"queries": self.knobs.queries}


def right_rows(params: Any, answer: Any) -> bool:
    """Return whether as many rows of `world` came as were asked for."""
    return len(answer) == params["queries"] and all(map(is_world, answer))
