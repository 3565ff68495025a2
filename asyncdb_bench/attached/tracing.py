"""What an application's requests do in the database, noted for some time, in bounded memory."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncdb_bench.attached import requests_noted
from asyncdb_bench.attached.requests_noted import Noted, request
from asyncdb_bench.attached.statement_text import is_write, portable, without_literals
from asyncdb_bench.attached.traced_values import UnwritableError, as_json

if TYPE_CHECKING:
    from asyncdb_bench.attached.traced_scenario import Traced

MOST_KINDS = 500
"""Kinds of work that are told apart; what else comes is counted together."""
MOST_STATEMENTS = 200
"""Statements of one unit that are noted; those beyond are counted."""
SAMPLES = 500
"""Units of each kind whose durations, rows and values are kept: a random sample (reservoir)."""
ROOM = 300_000
"""Statements of all samples, some 30 MB: beyond it units are counted, and replace others."""
ELSEWHERE = "other"


@dataclass(slots=True)
class Kind:
    """A kind of work: the same statements in the same order, for the same kind of request.

    Parameters
    ----------
    request : method and handler or route; empty where it is not known.
    statements : texts without literals.
    writes : which of them change something.
    count : how often.
    beyond : statements that were not noted, in all.
    ms, rows : samples: of each unit a value for each statement.
    held_ms : samples of how long the connection was held.
    values : samples: of each unit the statements with their values, or why they cannot be written.
    """

    request: str
    statements: tuple[str, ...]
    writes: tuple[bool, ...]
    count: int = 0
    beyond: int = 0
    ms: list[list[float]] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    held_ms: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


class Unit:
    """What was sent on a connection between its checkout and its return, for one request.

    Parameters
    ----------
    whose : the request; None: not known.
    """

    __slots__ = ("began", "beyond", "ms", "rows", "sent", "texts", "whose", "writes")

    def __init__(self, whose: Noted | None = None) -> None:
        self.whose = whose
        self.began = time.monotonic_ns()
        self.texts: list[str] = []
        self.writes: list[bool] = []
        self.ms: list[float] = []
        self.rows: list[int] = []
        self.sent: list[tuple[str, dict[str, Any]] | str] = []
        self.beyond = 0


class Tracing:
    """Notes what an engine's connections carry until its time is over.

    Parameters
    ----------
    folder : to write to.
    seconds : after which nothing is noted any more.
    values, dump : see :func:`asyncdb_bench.trace`.
    """

    def __init__(self, folder: str, seconds: float, *, values: bool, dump: str = "") -> None:
        self.folder = Path(folder)
        self.seconds = seconds
        self.values = values
        self.dump = dump
        self.kinds: dict[Any, Kind] = {}
        self.requests: dict[str, int] = {}
        self.connections = self.most_connections = 0
        self.room = ROOM
        self.began = time.monotonic()
        self.until = self.began + seconds
        self._lock = threading.Lock()
        self._taken: Callable[[], None] = lambda: None
        self._done = False
        self._timer = threading.Timer(seconds, self.stop)
        self._timer.daemon = True
        self._timer.start()

    def listen(self, engine: Any) -> None:
        """Listen to an engine's events.

        Parameters
        ----------
        engine : a blocking one, or the `sync_engine` of an async one.
        """
        from sqlalchemy import event

        wanted: dict[str, Callable[..., Any]] = {
            "checkout": self._out,
            "checkin": self._in,
            "before_cursor_execute": self._before,
            "after_cursor_execute": self._after,
        }
        for name, listener in wanted.items():
            event.listen(engine, name, listener)
        requests_noted.tracings += 1

        def taken() -> None:
            requests_noted.tracings -= 1
            for name, listener in wanted.items():
                event.remove(engine, name, listener)

        self._taken = taken

    def stop(self) -> None:
        """Note no more and write what was noted; a second call does nothing."""
        from asyncdb_bench.attached.traced_scenario import TIMES, VALUES, traced

        with self._lock:
            if self._done:
                return
            self._done = True
        self._timer.cancel()
        self._taken()
        self.seconds = time.monotonic() - self.began
        self.folder.mkdir(parents=True, exist_ok=True)
        kinds = sorted(self.kinds.values(), key=lambda each: -each.count)
        told = {
            "seconds": round(self.seconds, 3),
            "requests": self.requests,
            "connections_at_once": self.most_connections,
            "kinds": [{k: v for k, v in asdict(each).items() if k != "values"} for each in kinds],
        }
        (self.folder / "trace.json").write_text(json.dumps(told, indent=1) + "\n")
        found = traced(kinds, self.seconds, self.most_connections, self.dump if self.values else "")
        if found.text:
            (self.folder / "traced.py").write_text(found.text)
            lines = [json.dumps(each, default=as_json) + "\n" for each in found.samples]
            (self.folder / (VALUES if self.values else TIMES)).write_text("".join(lines))
        self._say(found, sum(each.count for each in kinds))

    def _say(self, found: Traced, units: int) -> None:
        """Say in the application's terminal what was written, and what is missing in it."""
        said = [f"asyncdb-bench: {units} units of work noted in {self.folder}/trace.json"]
        if not found.text:
            said.append("no scenario is written: none of them can be sent again")
        said += [f"left out: {each}" for each in found.left_out]
        sys.stderr.write("\n  ".join(said) + "\n")
        sys.stderr.flush()

    def _out(self, _connection: Any, record: Any, _proxy: Any) -> None:
        record.info["asyncdb_bench_unit"] = Unit(request.get())
        with self._lock:
            self.connections += 1
            self.most_connections = max(self.most_connections, self.connections)

    def _before(
        self, connection: Any, _cursor: Any, _text: str, _values: Any, context: Any, _many: bool
    ) -> None:
        context._asyncdb_bench_since = time.monotonic_ns()

    def _after(
        self, connection: Any, cursor: Any, text: str, values: Any, context: Any, many: bool
    ) -> None:
        unit = connection.info.get("asyncdb_bench_unit")
        if unit is None:
            return
        whose = request.get()
        if unit.whose is not whose:
            # a session may live longer than a request, and hold its connection
            self._keep(unit)
            unit = connection.info["asyncdb_bench_unit"] = Unit(whose)
        if len(unit.texts) >= MOST_STATEMENTS:
            unit.beyond += 1
            return
        took_ns = time.monotonic_ns() - context._asyncdb_bench_since
        unit.texts.append(without_literals(text))
        unit.writes.append(is_write(text))
        unit.ms.append(took_ns / 1e6)
        unit.rows.append(max(0, int(getattr(cursor, "rowcount", 0) or 0)))
        if self.values:
            # rows of one INSERT come as one set of values, too, though they are called many
            for each in values if many and isinstance(values, list) else [values]:
                unit.sent.append(_sent(text, each))

    def _in(self, _connection: Any, record: Any) -> None:
        unit: Unit | None = record.info.pop("asyncdb_bench_unit", None)
        if unit is not None:
            with self._lock:
                self.connections -= 1
            self._keep(unit)

    def _keep(self, unit: Unit) -> None:
        if not unit.texts:
            return
        held_ms = (time.monotonic_ns() - unit.began) / 1e6
        whose = unit.whose
        name = whose.name() if whose is not None else ""
        with self._lock:
            if whose is not None:
                whose.units += 1
                if whose.units == 1:
                    self.requests[name] = self.requests.get(name, 0) + 1
            kind = self._kind(name, unit)
            kind.count += 1
            kind.beyond += unit.beyond
            place = kind.count - 1 if kind.count <= SAMPLES else random.randrange(kind.count)
            if place >= SAMPLES or kind.request == ELSEWHERE:
                return
            if place >= len(kind.ms):
                # there may have been no room for some before
                place = len(kind.ms)
                if self.room < len(unit.texts):
                    return
                self.room -= len(unit.texts)
            for samples, value in (
                (kind.ms, unit.ms),
                (kind.rows, unit.rows),
                (kind.held_ms, held_ms),
            ):
                put(samples, place, value)
            if self.values:
                unwritable = [each for each in unit.sent if isinstance(each, str)]
                put(kind.values, place, unwritable[0] if unwritable else unit.sent)

    def _kind(self, name: str, unit: Unit) -> Kind:
        key: Any = (name, tuple(unit.texts))
        if key not in self.kinds and len(self.kinds) >= MOST_KINDS:
            key, name, unit = ELSEWHERE, ELSEWHERE, Unit()
        if key not in self.kinds:
            self.kinds[key] = Kind(name, tuple(unit.texts), tuple(unit.writes))
        return self.kinds[key]


def _sent(text: str, values: Any) -> tuple[str, dict[str, Any]] | str:
    """Return a statement with its values, or what stands against writing them."""
    try:
        return portable(text, values)
    except UnwritableError as error:
        return f"a value of type {error}"


def put(samples: list[Any], place: int, value: Any) -> None:
    """Put a value at a place of a list that may end just before it."""
    if place == len(samples):
        samples.append(value)
    else:
        samples[place] = value
