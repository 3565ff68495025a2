"""Sessions of users: requests that follow one another, each made of the answers before."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.errors import PluginError

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
