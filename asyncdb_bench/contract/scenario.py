"""The contract of a scenario: operations, how load arrives, and what counts as good enough."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from asyncdb_bench.contract.data.sources import NO_TABLES
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.errors import PluginError, UsageError
from asyncdb_bench.records.plan import Objective, Overload, Segment

if TYPE_CHECKING:
    import numpy as np

    from asyncdb_bench.contract.browsing import Cookies


Ask = Callable[[str, dict[str, Any]], Any]
"""Takes an operation's name and parameters, and returns the answer."""
Talk = Generator[tuple[str, dict[str, Any]], Any, None]
"""Yields an operation's name and parameters, and receives its answer as `check` has it."""


@dataclass(frozen=True, slots=True)
class Session:
    """What one user does, in order.

    Parameters
    ----------
    steps : names of the operations, in the order in which `talk` asks for them.
    talk : generator function: takes a :class:`numpy.random.Generator`, yields ``(name, params)``
        and receives the answer. A step that fails ends the session.
    weight : how often it begins, beside the other sessions of the scenario.
    """

    steps: tuple[str, ...]
    talk: Callable[[np.random.Generator], Talk]
    weight: float = 1.0


def mix_of(sessions: Sequence[Session]) -> dict[str, float]:
    """Return the share of each operation in the requests of sessions that run to their end."""
    counted: Counter[str] = Counter()
    for each in sessions:
        for name in each.steps:
            counted[name] += each.weight  # type: ignore[assignment]
    total = sum(counted.values())
    return {name: count / total for name, count in counted.items()}


@dataclass(slots=True)
class Conversation:
    """A session under way, and its next request.

    Parameters
    ----------
    session : what is done.
    talk : its generator.
    operation, params : asked for next.
    done : how many steps were answered.
    cookies : that its user has; None: an answer has set none yet.
    """

    session: Session
    talk: Talk
    operation: str
    params: dict[str, Any]
    done: int = 0
    cookies: Cookies | None = None

    def answered(self, answer: Any) -> bool:
        """Take a step's answer; return whether the session goes on.

        Raises
        ------
        ValueError : it asks for another operation than its `steps` say.
        """
        self.done += 1
        try:
            self.operation, self.params = self.talk.send(answer)
        except StopIteration:
            self._expect(None)
            return False
        self._expect(self.operation)
        return True

    def _expect(self, asked: str | None) -> None:
        steps = self.session.steps
        due = steps[self.done] if self.done < len(steps) else None
        if asked != due:
            raise ValueError(
                f"a session's step {self.done + 1} is {asked or 'its end'}; its steps say"
                f" {due or 'the end'}: {', '.join(steps)}"
            )


def go_through(session: Session, rng: np.random.Generator, ask: Ask) -> None:
    """Ask for a session's steps to its end.

    Parameters
    ----------
    session, rng : which, and what it draws from.
    ask : takes an operation's name and parameters, returns the answer.

    Raises
    ------
    ValueError : as :func:`begun`.
    """
    talk = begun(session, rng)
    while talk.answered(ask(talk.operation, talk.params)):
        pass


def begun(session: Session, rng: np.random.Generator) -> Conversation:
    """Return a session at its first request.

    Raises
    ------
    ValueError : it asks for nothing, or for another operation than its `steps` say.
    """
    talk = session.talk(rng)
    try:
        operation, params = next(talk)
    except StopIteration:
        raise ValueError("a session asks for nothing") from None
    made = Conversation(session, talk, operation, params)
    made._expect(operation)
    return made


class Users:
    """Users who take turns at the requests of an arrival process: it says when, they say what.

    The arrivals stay those of an open model. Each is the next step of the user who has waited
    longest; where fewer than `count` are about, or all wait for an answer, of a new one.

    Parameters
    ----------
    sessions : what users do.
    count : users that are about at a time.
    rng : to draw with.
    """

    def __init__(self, sessions: Sequence[Session], count: int, rng: np.random.Generator) -> None:
        self.sessions = sessions
        self.count = count
        self.rng = rng
        total = sum(each.weight for each in sessions)
        self.shares = [each.weight / total for each in sessions]
        self.waiting: list[Conversation] = []
        self.busy = 0

    def take(self) -> Conversation:
        """Return whose request is next."""
        if self.waiting and len(self.waiting) + self.busy >= self.count:
            found = self.waiting.pop(0)
        else:
            chosen = int(self.rng.choice(len(self.sessions), p=self.shares))
            found = begun(self.sessions[chosen], self.rng)
        self.busy += 1
        return found

    def give_back(self, conversation: Conversation, answer: Any, *, right: bool) -> None:
        """Take back a user with the answer; one whose step failed, or was the last, leaves."""
        self.busy -= 1
        if right and conversation.answered(answer):
            self.waiting.append(conversation)


OPERATION = "operation"


class Recorded:
    """Parameters of requests, a row each, in CSV, JSON lines or Parquet.

    Parameters
    ----------
    path : of the file. A column ``operation`` says whose parameters a row has; without it the rows
        are for every operation of the mix. An empty field of CSV or Parquet is left out.
    beside : ``__file__`` of the scenario, where the path is relative to it.
    """

    def __init__(self, path: str, beside: str = "") -> None:
        self.path = Path(beside).resolve().parent / path if beside else Path(path)

    @functools.cached_property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The rows by operation; under an empty name those that name none.

        Raises
        ------
        PluginError : there is no such file, it cannot be read, or has no rows.
        """
        try:
            read = _READERS[self.path.suffix](self.path)
        except KeyError:
            known = ", ".join(_READERS)
            raise PluginError(f"{self.path}: recorded parameters are {known}") from None
        except FileNotFoundError:
            raise PluginError(f"{self.path} does not exist") from None
        except Exception as error:
            raise PluginError(f"{self.path}: {error}") from error
        found: dict[str, list[dict[str, Any]]] = {}
        for row in read:
            given = dict(row)
            found.setdefault(str(given.pop(OPERATION, "")), []).append(given)
        if not found:
            raise PluginError(f"{self.path} has no rows")
        return found

    def names(self, mix: Iterable[str]) -> set[str]:
        """Return the operations that it has parameters of."""
        return set(mix) if "" in self.rows else set(self.rows)

    def draw(self, operation: Operation, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a row, as the operation's types.

        Raises
        ------
        PluginError : it has no such parameters, or of another type.
        """
        rows = self.rows.get(operation.name) or self.rows.get("") or []
        if not rows:
            raise PluginError(f"{self.path} has no parameters of {operation.name!r}")
        return self._params(operation, rows, int(rng.integers(0, len(rows))))

    def see_that_all_are_valid(self, operations: Mapping[str, Operation]) -> None:
        """Read every row as its operation's types.

        Parameters
        ----------
        operations : of the scenario, by name.

        Raises
        ------
        PluginError : a row is not valid, or of an operation that there is not.
        """
        for name, rows in self.rows.items():
            if name and name not in operations:
                raise PluginError(f"{self.path} has rows of {name!r}, no operation of the scenario")
            for place in range(len(rows)):
                for operation in [operations[name]] if name else operations.values():
                    self._params(operation, rows, place)

    def _params(
        self, operation: Operation, rows: list[dict[str, Any]], place: int
    ) -> dict[str, Any]:
        try:
            made = msgspec.convert(rows[place], operation.params_type, strict=False)
        except msgspec.ValidationError as error:
            raise PluginError(
                f"{self.path}: row {place + 1} of {operation.name!r}: {error}"
            ) from None
        return msgspec.structs.asdict(made)


def _csv(path: Path) -> list[dict[str, Any]]:
    import csv

    with path.open(newline="") as lines:
        return [there(each) for each in csv.DictReader(lines)]


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _parquet(path: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    return [there(each) for each in parquet.read_table(path).to_pylist()]


def there(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without its empty fields: JSON lines alone can say null and an empty text."""
    return {str(name): value for name, value in row.items() if value is not None and value != ""}


_READERS = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}


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

    def overload(self) -> Overload | None:
        """Return what is asked beyond each variant's own pace; None: nothing."""
        return None

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
