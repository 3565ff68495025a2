"""Operations: units of database work, written once as generators, run by every strategy.

An operation yields SQLAlchemy statements and receives their results; it never touches a session.
Whoever drives it decides how a statement reaches the database, so the SQL is the same by
construction.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Any, NamedTuple, TypedDict, Unpack

import msgspec

from asyncdb_bench.contract.route import REDIRECTS, Request, Route, usual_route
from asyncdb_bench.errors import PluginError, UnsupportedError
from asyncdb_bench_attach.timing import Phases, current


async def together(reads: Iterable[Awaitable[Any]]) -> list[Any]:
    """Await all at once and return what came, in order; the first error ends the others.

    The request's phases are those of the read that took longest, since that is what it waited for;
    connections and threads were occupied by all of them.
    """
    whole, asked = current.get(), list(reads)
    noted = [Phases() if whole is not None else None for _ in asked]
    tasks = [
        asyncio.ensure_future(_noting(read, phases))
        for read, phases in zip(asked, noted, strict=True)
    ]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    finally:
        if whole is not None:
            whole.fold([each for each in noted if each is not None])


async def _noting(read: Awaitable[Any], phases: Phases | None) -> Any:
    # a task has a context of its own
    current.set(phases)
    return await read


Params = Mapping[str, Any]
Steps = Generator[Any, Any, Any]
Check = Callable[[Params, Any], bool]
Rows = int | Callable[[Params], int] | None


@dataclass(frozen=True, slots=True)
class Pause:
    """A step that is not the database's: waiting for something else, another service perhaps.

    Parameters
    ----------
    seconds : how long.
    hold : the session stays open meanwhile; else the transaction ends and the connection is given
        back, and a strategy that runs operations on threads gives back the thread, too.
    """

    seconds: float
    hold: bool = True


@dataclass(frozen=True, slots=True)
class AtOnce:
    """A step of several reads that do not need one another: a strategy may run them at once.

    What comes back is a list of their results, in order.
    """

    statements: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Streamed:
    """A step whose rows come in parts, by a cursor of the server's or the driver's.

    Parameters
    ----------
    statement : a SELECT.
    rows : of a part.
    take : is given each part, a sequence of rows; what comes back of the step is None.
    """

    statement: Any
    rows: int
    take: Callable[[Sequence[Any]], object]

    def through(self, execute: Callable[[Any], Any]) -> None:
        """Take all parts by a blocking session's `execute`."""
        for part in execute(self._in_parts).partitions(self.rows):
            self.take(part)

    async def through_async(self, stream: Callable[[Any], Awaitable[Any]] | None) -> None:
        """Take all parts by an async session's `stream`.

        Raises
        ------
        UnsupportedError : the strategy gives none.
        """
        if stream is None:
            raise UnsupportedError("this strategy does not stream: it gives drive_async no stream=")
        async for part in (await stream(self._in_parts)).partitions(self.rows):
            self.take(part)

    @property
    def _in_parts(self) -> Any:
        return self.statement.execution_options(yield_per=self.rows)


class Traits(TypedDict, total=False):
    """What else is to be known of an operation.

    Parameters
    ----------
    transactions : the most transactions that it may take, or how to tell from the parameters:
        several where it gives its connection back, or its reads may run in one each.
    reads : it changes nothing, so that it may run without BEGIN and COMMIT where that is asked for.
    independent : it yields :class:`AtOnce` alone: its reads need no common transaction.
    pauses : it yields :class:`Pause`.
    orm : it loads related rows by the ORM, which a strategy without a session cannot.
    streams : it yields :class:`Streamed`, which a strategy without a session cannot run.
    commits : False: it only reads, and its session is closed without a commit, as many
        applications do: the transaction is rolled back.
    route : where it is asked for, besides ``POST /op/<name>``, and what its answer looks like.
    """

    transactions: int | Callable[[Params], int]
    reads: bool
    independent: bool
    pauses: bool
    orm: bool
    streams: bool
    commits: bool
    route: Route


class Operation:
    """One unit of database work: one transaction, unless it says otherwise.

    Parameters
    ----------
    steps : generator function: yields statements, :class:`Pause` and :class:`AtOnce`, receives
        their results, returns what JSON can say.
    check : ``check(params, answer)``, true where the answer is right; cheap, without the database.
        `answer` is as a client has it, see :func:`asyncdb_bench.contract.route.decoded`.
    rows : how many rows its statements return or change, or how to tell from the parameters;
        None where that cannot be known beforehand.
    traits : see :class:`Traits`; one transaction, and none of the others.
    """

    def __init__(
        self,
        steps: Callable[..., Steps],
        check: Check,
        rows: Rows = None,
        **traits: Unpack[Traits],
    ) -> None:
        self.__doc__ = steps.__doc__
        self.__module__ = steps.__module__
        self.steps = steps
        self.check = check
        self.rows = rows
        self.traits = traits
        self.transactions = traits.get("transactions", 1)
        self.reads = traits.get("reads", False)
        self.independent = traits.get("independent", False)
        self.pauses = traits.get("pauses", False)
        self.orm = traits.get("orm", False)
        self.streams = traits.get("streams", False)
        self.commits = traits.get("commits", True)
        self.name = steps.__name__
        self.route = traits.get("route") or usual_route(self.name)
        taken = inspect.signature(steps).parameters
        if all(each.kind not in VARIABLE for each in taken.values()):
            self.route.see_that_it_fits(list(taken))
        self._defaults = {
            name: each.default for name, each in taken.items() if each.default is not each.empty
        }
        self.summary = (inspect.getdoc(steps) or "").partition("\n")[0]

    def with_steps(self, steps: Callable[..., Steps]) -> Operation:
        """Return the same operation by other steps."""
        return Operation(steps, self.check, self.rows, **self.traits)

    def uncommitted(self) -> Operation:
        """Return the same operation without a commit, called ``<name>_uncommitted``."""

        @functools.wraps(self.steps)
        def steps(**params: Any) -> Steps:
            return self.steps(**params)

        steps.__name__ = f"{self.name}_uncommitted"
        traits = self.traits | {"commits": False, "route": usual_route(steps.__name__)}
        return Operation(steps, self.check, self.rows, **traits)

    def most_transactions(self, params: Params) -> int:
        """Return how many transactions a run with these parameters may take."""
        return self.transactions(params) if callable(self.transactions) else self.transactions

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

    @functools.cached_property
    def lists(self) -> frozenset[str]:
        """The parameters that are lists, or may be: several of a name in a query or a form."""
        return frozenset(each.name for each in self._fields if _may_be(each.type, LISTS))

    @functools.cached_property
    def unsaid(self) -> dict[str, Any]:
        """What parameters without a default are where a query, form or header says nothing of them.

        Text cannot say None, nor an empty list: both are left out.
        """
        nothing: dict[str, Any] = {
            each.name: None if _may_be(each.type, NONE) else []
            for each in self._fields
            if _may_be(each.type, (*LISTS, *NONE))
        }
        return {
            name: value
            for name, value in nothing.items()
            if name not in self._defaults and not self._is_in_json(name)
        }

    @property
    def _fields(self) -> tuple[msgspec.inspect.Field, ...]:
        known = msgspec.inspect.type_info(self.params_type)
        assert isinstance(known, msgspec.inspect.StructType)
        return known.fields

    def request(self, params: Params) -> Request:
        """Return the request for it; see :meth:`Route.parts`.

        Raises
        ------
        PluginError : a value cannot be said where its route has it.
        """
        asked = self.route.parts(params)
        for name, value in params.items():
            left_out = value is None or (not value and isinstance(value, EMPTIES))
            if left_out and not self._is_in_json(name):
                read = self._defaults.get(name, self.unsaid.get(name))
                if (value is None) != (read is None) or read:
                    raise PluginError(
                        f"operation {self.name!r}: parameter {name} is {value!r}, which a query, a"
                        f" form or a header cannot say, so that it would be read as {read!r}"
                    )
        return asked

    def _is_in_json(self, name: str) -> bool:
        return self.route.body == "json" and name in self.route.placed([name])[1]

    def plain(self, params: Params) -> dict[str, Any]:
        """Return parameters as JSON can say them, to travel to another process."""
        found: dict[str, Any] = msgspec.to_builtins(dict(params), str_keys=True)
        return found

    def typed(self, params: Params) -> dict[str, Any]:
        """Return parameters that travelled, or were drawn, as the declared types.

        Raises
        ------
        msgspec.ValidationError : they are of others.
        """
        made = msgspec.convert(self.plain(params), self.params_type, str_keys=True)
        return msgspec.structs.asdict(made)

    def __repr__(self) -> str:
        return f"Operation({self.name})"


def _may_be(kind: msgspec.inspect.Type, kinds: tuple[type[msgspec.inspect.Type], ...]) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(_may_be(each, kinds) for each in kind.types)
    return isinstance(kind, kinds)


VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
LISTS = (msgspec.inspect.CollectionType, msgspec.inspect.TupleType)
NONE = (msgspec.inspect.NoneType, msgspec.inspect.AnyType)
EMPTIES = (list, tuple, set, frozenset)
BIGINT = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def operation(
    *, check: Check, rows: Rows = None, **traits: Unpack[Traits]
) -> Callable[[Callable[..., Steps]], Operation]:
    """Make an operation of a generator function.

    Parameters
    ----------
    check : ``check(params, answer)``; a wrong answer is an error in the ledger, not a success.
    rows : how many rows its statements return or change in all, or ``rows(params)``: what the
        database says it did is compared with it. None: it is not compared.
    traits : see :class:`Traits`.
    """
    return lambda steps: Operation(steps, check, rows, **traits)


class Said(NamedTuple):
    """An answer as it came."""

    status: int
    headers: Message
    body: bytes


def judged(operation: Operation, params: Params, said: Said) -> tuple[Any, str]:
    """Return an answer as `check` has it, and why it is not what was expected; empty: it is."""
    status, headers, body = said
    if not operation.route.expects(status):
        if status in REDIRECTS:
            return None, (
                f"redirects to {headers.get('Location', 'nowhere')}: let the route ask there, say"
                " follow=True or statuses=(302,) in it, or log in first in a session"
            )
        return None, f"answers {status}: {body[:120].decode(errors='replace')!r}"
    kind = headers.get("Content-Type", "")
    try:
        answer = operation.route.answer(status, headers, body)
        right = operation.check(params, answer)
    except Exception as error:
        return None, (
            f"answers what its check does not take ({type(error).__name__}: {error}), {status} as"
            f" {kind or 'no content type'}: {body[:80].decode(errors='replace')!r}"
        )
    return answer, "" if right else f"answers wrongly: {body[:120].decode(errors='replace')!r}"


def drive(
    steps: Steps, execute: Callable[[Any], Any], release: Callable[[], Any] | None = None
) -> Any:
    """Run an operation's steps to the end with a blocking `execute`.

    Parameters
    ----------
    steps : the generator, not yet started.
    execute : takes a statement, returns its result.
    release : gives the connection back; None: it cannot be given back in between.

    Returns
    -------
    The operation's answer. What `execute` raises is raised inside the operation first.
    """
    while isinstance(came := advance(steps, execute), Pause):
        if release is not None:
            release()
        time.sleep(came.seconds)
    return came


def advance(steps: Steps, execute: Callable[[Any], Any]) -> Any:
    """Run an operation's steps until its end, or until it would give its connection back.

    Parameters
    ----------
    steps : the generator, not yet started or at such a pause.
    execute : takes a statement, returns its result.

    Returns
    -------
    The operation's answer, or the pause, after which it goes on by another call.
    """
    try:
        statement = next(steps)
        while True:
            try:
                if isinstance(statement, Pause):
                    if not statement.hold:
                        return statement
                    time.sleep(statement.seconds)
                    result: Any = None
                elif isinstance(statement, AtOnce):
                    result = [execute(each) for each in statement.statements]
                elif isinstance(statement, Streamed):
                    statement.through(execute)
                    result = None
                else:
                    result = execute(statement)
            except Exception as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(result)
    except StopIteration as end:
        return end.value


async def drive_async(
    steps: Steps,
    execute: Callable[[Any], Awaitable[Any]],
    release: Callable[[], Awaitable[Any]] | None = None,
    at_once: Callable[[tuple[Any, ...]], Awaitable[Any]] | None = None,
    stream: Callable[[Any], Awaitable[Any]] | None = None,
) -> Any:
    """Run an operation's steps to the end with an awaitable `execute`; else as :func:`drive`.

    Parameters
    ----------
    steps, execute, release : as :func:`drive`.
    at_once : runs the statements of an :class:`AtOnce`; None: one after another.
    stream : an async session's, for :class:`Streamed`.
    """
    while isinstance(came := await advance_async(steps, execute, at_once, stream), Pause):
        if release is not None:
            await release()
        await asyncio.sleep(came.seconds)
    return came


async def drive_apart(steps: Steps, read: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run an operation of independent reads, each by itself; those of an `AtOnce` together."""
    return await drive_async(steps, read, at_once=lambda each: together(map(read, each)))


async def drive_parts(part: Callable[[], Awaitable[Any]]) -> Any:
    """Run an operation part by part, and wait between them.

    Parameters
    ----------
    part : goes on to a pause at which nothing is held, or to the end, see :func:`advance`.
    """
    while isinstance(came := await part(), Pause):
        await asyncio.sleep(came.seconds)
    return came


async def advance_async(
    steps: Steps,
    execute: Callable[[Any], Awaitable[Any]],
    at_once: Callable[[tuple[Any, ...]], Awaitable[Any]] | None = None,
    stream: Callable[[Any], Awaitable[Any]] | None = None,
) -> Any:
    """Run steps as :func:`advance` does; parameters as :func:`drive_async`."""
    try:
        statement = next(steps)
        while True:
            try:
                if isinstance(statement, Pause):
                    if not statement.hold:
                        return statement
                    await asyncio.sleep(statement.seconds)
                    result: Any = None
                elif isinstance(statement, AtOnce):
                    if at_once is not None:
                        result = await at_once(statement.statements)
                    else:
                        result = [await execute(each) for each in statement.statements]
                elif isinstance(statement, Streamed):
                    await statement.through_async(stream)
                    result = None
                else:
                    result = await execute(statement)
            except Exception as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(result)
    except StopIteration as end:
        return end.value
