"""What an application's requests do in the database, noted for some time, in bounded memory."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncdb_bench_attach import statements, timing
from asyncdb_bench_attach.scenario import TIMES, VALUES, Kind, UnitSample, traced
from asyncdb_bench_attach.timing import Noted, request

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
class Unit:
    """What was sent on a connection between its checkout and its return, for one request.

    Parameters
    ----------
    whose : the request; None: not known.
    """

    whose: Noted | None = None
    began: int = field(default_factory=time.monotonic_ns)
    texts: list[str] = field(default_factory=list)
    writes: list[bool] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    sent: list[tuple[str, dict[str, Any]] | str] = field(default_factory=list)
    beyond: int = 0


class Tracing:
    """Notes what an engine's connections carry until its time is over.

    Parameters
    ----------
    folder : to write to.
    seconds : after which nothing is noted any more.
    values, dump : see :func:`asyncdb_bench_attach.trace`.
    """

    def __init__(self, folder: str, seconds: float, *, values: bool, dump: str = "") -> None:
        self.folder = Path(folder)
        self.values = values
        self.dump = dump
        self.kinds: dict[Any, Kind] = {}
        self.requests: Counter[str] = Counter()
        self.connections = self.most_connections = 0
        self.room = ROOM
        self.began = time.monotonic()
        self._lock = threading.Lock()
        self._listeners: list[tuple[Any, str, Any]] = []
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

        self._listeners = [
            (engine, "checkout", self._out),
            (engine, "checkin", self._in),
            (engine, "before_cursor_execute", self._before),
            (engine, "after_cursor_execute", self._after),
        ]
        for each in self._listeners:
            event.listen(*each)
        timing.tracings += 1

    def stop(self) -> None:
        """Note no more and write what was noted; a second call does nothing."""
        with self._lock:
            if self._done:
                return
            self._done = True
        self._timer.cancel()
        if self._listeners:
            from sqlalchemy import event

            timing.tracings -= 1
            for each in self._listeners:
                event.remove(*each)
        seconds = time.monotonic() - self.began
        self.folder.mkdir(parents=True, exist_ok=True)
        kinds = sorted(self.kinds.values(), key=lambda each: -each.count)
        told = {
            "seconds": round(seconds, 3),
            "requests": self.requests,
            "connections_at_once": self.most_connections,
            "kinds": [each.told() for each in kinds],
        }
        (self.folder / "trace.json").write_text(json.dumps(told, indent=1) + "\n")
        dump = self.dump if self.values else ""
        text, samples, left = traced(kinds, seconds, self.most_connections, dump)
        units = sum(each.count for each in kinds)
        said = [f"asyncdb-bench: {units} units of work noted in {self.folder}/trace.json"]
        if text:
            (self.folder / "traced.py").write_text(text)
            lines = [json.dumps(each, default=statements.as_json) + "\n" for each in samples]
            (self.folder / (VALUES if self.values else TIMES)).write_text("".join(lines))
        else:
            said.append("no scenario is written: none of them can be sent again")
        said += [f"left out: {each}" for each in left]
        sys.stderr.write("\n  ".join(said) + "\n")
        sys.stderr.flush()

    def _out(self, _connection: Any, record: Any, _proxy: Any) -> None:
        record.info["asyncdb_bench_unit"] = Unit(request.get())
        with self._lock:
            self.connections += 1
            self.most_connections = max(self.most_connections, self.connections)

    def _before(
        self, _connection: Any, _cursor: Any, _text: str, _values: Any, context: Any, _many: bool
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
        unit.texts.append(statements.without_literals(text))
        unit.writes.append(statements.is_write(text))
        unit.ms.append(took_ns / 1e6)
        unit.rows.append(max(0, int(getattr(cursor, "rowcount", 0) or 0)))
        if self.values:
            # rows of one INSERT come as one set of values, too, though they are called many
            for each in values if many and isinstance(values, list) else [values]:
                try:
                    unit.sent.append(statements.portable(text, each))
                except statements.UnwritableError as why:
                    unit.sent.append(str(why))

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
        sent = next((each for each in unit.sent if isinstance(each, str)), unit.sent)
        with self._lock:
            if whose is not None:
                whose.units += 1
                if whose.units == 1:
                    self.requests[name] += 1
            kind = self._kind(name, unit)
            kind.count += 1
            kind.beyond += unit.beyond
            place = kind.count - 1 if kind.count <= SAMPLES else random.randrange(kind.count)
            if place >= SAMPLES or kind.request == ELSEWHERE:
                return
            sample = UnitSample(unit.ms, unit.rows, held_ms, sent)
            if place < len(kind.samples):
                kind.samples[place] = sample
            elif self.room >= len(unit.texts):
                # there may have been no room for some before
                self.room -= len(unit.texts)
                kind.samples.append(sample)

    def _kind(self, name: str, unit: Unit) -> Kind:
        key: Any = (name, tuple(unit.texts))
        if key not in self.kinds and len(self.kinds) >= MOST_KINDS:
            key, name, unit = ELSEWHERE, ELSEWHERE, Unit()
        if key not in self.kinds:
            self.kinds[key] = Kind(name, tuple(unit.texts), tuple(unit.writes))
        return self.kinds[key]
