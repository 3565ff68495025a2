"""Operations: units of database work, written once as generators, run by every strategy.

An operation yields SQLAlchemy statements and receives their results; it never touches a session.
Whoever drives it decides how a statement reaches the database, so the SQL is the same by
construction.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Annotated, Any

import msgspec

Params = Mapping[str, Any]
Steps = Generator[Any, Any, dict[str, Any]]
Check = Callable[[Params, Mapping[str, Any]], bool]
Rows = int | Callable[[Params], int] | None


class Operation:
    """One unit of database work, one transaction.

    Parameters
    ----------
    steps : generator function: yields statements, receives their results, returns a JSON object.
    check : ``check(params, answer)``, true where the answer is right; cheap, without the database.
    rows : how many rows its statements return or change, or how to tell from the parameters;
        None where that cannot be known beforehand.
    """

    def __init__(self, steps: Callable[..., Steps], check: Check, rows: Rows = None) -> None:
        self.__doc__ = steps.__doc__
        self.__module__ = steps.__module__
        self.steps = steps
        self.check = check
        self.rows = rows
        self.name = steps.__name__
        self.summary = (inspect.getdoc(steps) or "").partition("\n")[0]

    def rows_of(self, params: Params) -> int:
        """Return how many rows a run with these parameters touches; 0 where it is not known."""
        return self.rows(params) if callable(self.rows) else self.rows or 0

    @functools.cached_property
    def params_type(self) -> type[msgspec.Struct]:
        """The parameters as a type that validates: wrong or unknown fields are refused.

        An integer without bounds of its own has those of a database's bigint.
        """
        hints = inspect.get_annotations(self.steps, eval_str=True)
        hints = {name: BIGINT if hint is int else hint for name, hint in hints.items()}
        fields = [
            (name, hints[name]) if spec.default is spec.empty else (name, hints[name], spec.default)
            for name, spec in inspect.signature(self.steps).parameters.items()
        ]
        return msgspec.defstruct(f"{self.name}_params", fields, forbid_unknown_fields=True)

    def __repr__(self) -> str:
        return f"Operation({self.name})"


BIGINT = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def operation(*, check: Check, rows: Rows = None) -> Callable[[Callable[..., Steps]], Operation]:
    """Make an operation of a generator function.

    Parameters
    ----------
    check : ``check(params, answer)``; a wrong answer is an error in the ledger, not a success.
    rows : how many rows its statements return or change in all, or ``rows(params)``: what the
        database says it did is compared with it. None: it is not compared.
    """
    return lambda steps: Operation(steps, check, rows)


def drive(steps: Steps, execute: Callable[[Any], Any]) -> dict[str, Any]:
    """Run an operation's steps to the end with a blocking `execute`.

    Parameters
    ----------
    steps : the generator, not yet started.
    execute : takes a statement, returns its result.

    Returns
    -------
    The operation's answer. What `execute` raises is raised inside the operation first.
    """
    try:
        statement = next(steps)
        while True:
            try:
                result = execute(statement)
            except Exception as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(result)
    except StopIteration as end:
        return _answer(end.value)


async def drive_async(steps: Steps, execute: Callable[[Any], Awaitable[Any]]) -> dict[str, Any]:
    """Run an operation's steps to the end with an awaitable `execute`; else as :func:`drive`."""
    try:
        statement = next(steps)
        while True:
            try:
                result = await execute(statement)
            except Exception as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(result)
    except StopIteration as end:
        return _answer(end.value)


def _answer(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"an operation must return a dict, not {type(value).__name__}")
    return value
