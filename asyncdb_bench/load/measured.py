"""Requests that are recorded and judged, as an open model or a closed loop asks them.

In the window a request is sent and its answer received, two clocks are read, and the status is
noted. All else has time until the window is over, but for sessions: what their users ask next comes
of the answer.

The route does no database work, so its latency is the event loop's alone (and the network's).
Probes are an open model too: one that is not answered does not hold up the next.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncdb_bench.contract.browsing import Cookies, redirected
from asyncdb_bench.contract.route import REDIRECTS, Request, host_of
from asyncdb_bench.contract.scenario import Conversation, Users
from asyncdb_bench.load.asking import Asker
from asyncdb_bench.load.connection import Connection, get_bytes
from asyncdb_bench.load.http_message import headers_of, sets_cookies
from asyncdb_bench.load.judging import Judge
from asyncdb_bench.load.loop import Kept, Loop
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.load.requests import Asked, Requests
from asyncdb_bench.records.step import PROBE_EVERY_S, Outcome

EVERY_NS = int(PROBE_EVERY_S * 1e9)


class Probe(Asker):
    """Asks for a path that does no work every 50 ms.

    Parameters
    ----------
    loop, kept, timeout_s : see :class:`Asker`; the connections are its own. One that is given up
        counts with the time until then.
    path : what it asks for, ``/healthz``.
    """

    def __init__(self, loop: Loop, kept: Kept, timeout_s: float, path: str) -> None:
        super().__init__(loop, kept, timeout_s)
        self._request = get_bytes(kept.address, path)
        self._found: list[tuple[int, int]] = []
        self._left = 0

    def ask_from(self, started_ns: int, until_ns: int) -> None:
        """Ask within a window, CLOCK_MONOTONIC."""
        self._left = (until_ns - started_ns) // EVERY_NS
        first_ns = started_ns + EVERY_NS // 2
        due_ns = (first_ns + number * EVERY_NS for number in range(self._left))
        self.loop.call_each(due_ns, self._probe)

    def is_idle(self) -> bool:
        """Return whether all were asked and nothing is under way."""
        return not self._left and super().is_idle()

    def end(self) -> np.ndarray[Any, Any]:
        """Wait no longer; return intended start and latency of each, ns, shape (n, 2)."""
        for due_ns, _ in self.abandon():
            self._note(due_ns, time.monotonic_ns())
        return np.array(sorted(self._found), np.int64).reshape(-1, 2)

    def answered(self, key: int, connection: Connection, answer: bytes, status: int) -> None:
        """Note how long it took, from when it was due; whatever the answer is."""
        self._note(key, connection.done_ns)

    def failed(self, key: int, connection: Connection | None, outcome: Outcome, why: str) -> None:
        """Note it as a long wait: why, the load's own ledger tells."""
        self._note(key, time.monotonic_ns())

    def _probe(self, due_ns: int) -> None:
        self._left -= 1
        self.ask(due_ns, self._request, "GET")

    def _note(self, due_ns: int, done_ns: int) -> None:
        self._found.append((due_ns, done_ns - due_ns))


MOMENT_NS = 200_000
"""Where nothing is due for so long, a request can be prepared or an answer judged: some 10 us."""
LATE_NS = 50_000_000
"""A request that is asked so late was not offered when it should have been."""
PAUSE_NS = 10_000_000
"""How long a connection of the closed loop waits after a failure: a refusal costs no time."""


@dataclass(slots=True)
class Trail:
    """A request that was redirected.

    Parameters
    ----------
    request : asked last.
    cookies : to send with the next; None: there are none.
    hops : redirects so far.
    """

    request: Request
    cookies: Cookies | None = None
    hops: int = 0


class Measured(Asker):
    """Asks, and records what comes.

    Parameters
    ----------
    loop, kept, timeout_s : see :class:`Asker`.
    record : of the step, in which a request's place is its key.
    requests : what to ask.
    judge : of the answers.
    users : of the sessions that the requests belong to; None: they stand for themselves.
    """

    def __init__(
        self,
        loop: Loop,
        kept: Kept,
        timeout_s: float,
        record: Recorder,
        requests: Requests,
        judge: Judge,
        users: Users | None = None,
    ) -> None:
        super().__init__(loop, kept, timeout_s)
        self.record = record
        self.requests = requests
        self.judge = judge
        self.users = users
        self._asked: dict[int, Asked] = {}
        self._trails: dict[int, Trail] = {}

    def begin(self) -> None:
        """Begin a window."""
        super().begin()
        self.loop.idle = self._use_moment

    @abstractmethod
    def ask_from(self, started_ns: int, until_ns: int) -> None:
        """Ask within a window.

        Parameters
        ----------
        started_ns, until_ns : from when until when, CLOCK_MONOTONIC.
        """

    def answered(self, key: int, connection: Connection, answer: bytes, status: int) -> None:
        """Note an answer's times and its status, and keep it."""
        record, asked = self.record, self._asked[key]
        record.done_ns[key] = connection.done_ns
        record.status[key] = status
        record.bytes_sent += len(connection.request)
        record.bytes_received += len(answer)
        if key not in self._trails:
            record.sent_ns[key] = connection.sent_ns
        if asked.user is not None and sets_cookies(answer):
            self._take_cookies(asked.user, connection, answer)
        if status in REDIRECTS and asked.operation.route.follow:
            self._follow(key, asked, connection, answer)
            return
        del self._asked[key]
        self._trails.pop(key, None)
        if asked.user is None:
            self.judge.keep(key, asked, answer)
        else:
            self._give_back(asked, self.judge.judge(key, asked, answer), key)
        self._go_on(well=200 <= status < 300 or asked.operation.route.expects(status))

    def failed(self, key: int, connection: Connection | None, outcome: Outcome, why: str) -> None:
        """Note that there was no answer, and why."""
        self.record.done_ns[key] = time.monotonic_ns()
        self._note_sent(key, connection)
        self._fail(key, outcome, why)

    def _fail(self, key: int, outcome: Outcome, why: str) -> None:
        self.record.fail(key, outcome, why)
        asked = self._asked.pop(key)
        self._trails.pop(key, None)
        self.judge.keep(key, asked, b"")
        self._give_back(asked, None, key)
        self._go_on(well=False)

    def _go_on(self, *, well: bool) -> None:
        """Take note that a request has ended, and whether as its route expects."""

    def _follow(self, key: int, asked: Asked, connection: Connection, answer: bytes) -> None:
        """Ask for what a redirect leads to, within the same request."""
        trail = self._trails.get(key)
        if trail is None:
            trail = self._trails[key] = Trail(asked.operation.request(asked.params))
        if asked.user is not None:
            trail.cookies = asked.user.cookies
        elif sets_cookies(answer):
            self._take_cookies(trail, connection, answer)
        status, location = self.record.status[key], headers_of(answer).get("Location", "")
        host, port = host_of(self.kept.address[0]), self.kept.address[1]
        trail.hops += 1
        try:
            trail.request = redirected(trail.request, status, location, host, port, trail.hops)
        except ValueError as error:
            self._fail(key, Outcome.ERROR, f"{status}: {error}")
            return
        to = trail.request if trail.cookies is None else trail.cookies.added_to(trail.request)
        self.ask(key, to.sent_to(host, port), to.method)

    def _take_cookies(
        self, whose: Conversation | Trail, connection: Connection, answer: bytes
    ) -> None:
        if whose.cookies is None:
            whose.cookies = Cookies(host_of(self.kept.address[0]), self.kept.address[1])
        target = connection.request.split(b" ", 2)[1].decode()
        whose.cookies.take(target, headers_of(answer))

    def end(self) -> None:
        """Close the connections of what is still under way, and judge what is kept."""
        for key, connection in self.abandon():
            self._note_sent(key, connection)
            self._give_back(self._asked.pop(key), None, key)
        self.record.late += self.unopened
        self.judge.judge_all()

    def _next(self) -> Asked | None:
        """Return the next request; None: the session that should begin raises."""
        try:
            return self.requests.next()
        except Exception as error:
            if self.users is None:
                raise
            self._note_broken(error)
            return None

    def _ask(self, place: int, asked: Asked) -> None:
        self.record.attempted += 1
        self._asked[place] = asked
        self.ask(place, asked.request, asked.operation.route.method)

    def _note_sent(self, key: int, connection: Connection | None) -> None:
        if connection is None:
            return
        record = self.record
        if key not in self._trails:
            record.sent_ns[key] = connection.sent_ns
        if connection.sent_ns:
            record.bytes_sent += len(connection.request) - len(connection.unsent)
        if connection.incoming is not None:
            record.bytes_received += connection.incoming.received

    def _give_back(self, asked: Asked, answer: object, place: int) -> None:
        if self.users is None or asked.user is None:
            return
        right = self.record.outcome[place] == Outcome.OK
        try:
            self.users.give_back(asked.user, answer, right=right)
        except Exception as error:
            self._note_broken(error)

    def _note_broken(self, error: Exception) -> None:
        """Note that a session, which is somebody's code, raised: its user leaves."""
        self.record.note_error(f"a session raised {type(error).__name__}: {error}")

    def _use_moment(self, left_ns: int) -> bool:
        """Prepare a request or judge an answer while nothing else is to be done."""
        return left_ns > MOMENT_NS and (self.requests.prepare_one() or self.judge.judge_one())


class OpenModel(Measured):
    """Asks when an arrival is due, whatever became of those before.

    Parameters
    ----------
    limit : so many requests are under way at most; arrivals above it are skipped.
    """

    def __init__(self, *asks: Any, limit: int) -> None:
        super().__init__(*asks)
        self._limit = limit
        self._arrivals = 0

    def ask_from(self, started_ns: int, until_ns: int) -> None:
        """Ask at the intended arrivals of the record."""
        self.judge.started_ns = started_ns
        due_ns = (started_ns + each for each in self.record.intended_ns)
        self.loop.call_each(due_ns, self._arrive)

    def is_idle(self) -> bool:
        """Return whether all have arrived and nothing is under way."""
        return self._arrivals == len(self.record.intended_ns) and super().is_idle()

    def _arrive(self, due_ns: int) -> None:
        place, self._arrivals = self._arrivals, self._arrivals + 1
        self.record.late += time.monotonic_ns() - due_ns > LATE_NS
        if len(self.under_way) >= self._limit:
            if self.users is None:
                # its request is not asked in place of the next one's
                self.requests.next()
            self.record.fail(place, Outcome.SKIPPED, "as many requests under way as permitted")
        elif (asked := self._next()) is not None:
            self.record.operations[place] = asked.number
            self._ask(place, asked)


class ClosedLoop(Measured):
    """Asks again as soon as an answer is there: what a request intended is when that was.

    Parameters
    ----------
    connections : so many requests are under way.
    """

    def __init__(self, *asks: Any, connections: int) -> None:
        super().__init__(*asks)
        self._connections = connections
        self._until_ns = 0

    def ask_from(self, started_ns: int, until_ns: int) -> None:
        """Ask on each connection."""
        self.judge.started_ns, self._until_ns = started_ns, until_ns
        for _ in range(self._connections):
            self.loop.call_at(started_ns, self._ask_next)

    def _go_on(self, *, well: bool) -> None:
        """Ask again, after a pause where it was a failure."""
        if well:
            self._ask_next(0)
        else:
            self._pause()

    def _pause(self) -> None:
        self.loop.call_at(time.monotonic_ns() + PAUSE_NS, self._ask_next)

    def _ask_next(self, _: int) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._until_ns:
            return
        if (asked := self._next()) is None:
            self._pause()
            return
        place = self.record.add(now_ns - self.judge.started_ns, asked.number)
        self._ask(place, asked)
