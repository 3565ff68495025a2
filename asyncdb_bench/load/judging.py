"""Answers are kept as they came and judged later: after the window, or in idle moments of it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import gevent
import msgspec

from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.route import REDIRECTS, Response, decoded
from asyncdb_bench.load.http_message import Answer, headers_of, read_answer
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.load.requests import Asked
from asyncdb_bench.records.step import Outcome

TIMEOUT_STATUS = 504
SOME_BYTES = 16_000_000
"""From so many kept bytes on, answers are judged wherever there is a moment."""
MOST_BYTES = 64_000_000
"""So many are kept at most: from there on two are judged for each that comes."""
EACH_BYTES = 100
"""What keeping an answer takes beside it."""
YIELD_S = 0.05
"""How often others of the process get their turn while answers are judged."""


class Judge:
    """Keeps answers as they came, and finds out whether they are right.

    Parameters
    ----------
    record : where that is noted.
    environment : Locust's, which is told of each request.

    Attributes
    ----------
    started_ns : the step's start, CLOCK_MONOTONIC.
    """

    def __init__(self, record: Recorder, environment: Any) -> None:
        self.record = record
        self.environment = environment
        self.started_ns = 0
        self.kept_bytes = 0
        self._kept: deque[tuple[int, Asked, bytes]] = deque()

    def keep(self, place: int, asked: Asked, raw: bytes) -> None:
        """Keep a request's answer, to be judged later.

        Parameters
        ----------
        place : of the request in the record.
        asked : what was asked.
        raw : the answer; empty: there was none, and the record says why.
        """
        self._kept.append((place, asked, raw))
        self.kept_bytes += len(raw) + EACH_BYTES
        if self.kept_bytes > MOST_BYTES:
            self._judge_next()
            self._judge_next()

    def judge_one(self) -> bool:
        """Judge the oldest answer, where many are kept; return whether it did."""
        if self.kept_bytes <= SOME_BYTES:
            return False
        self._judge_next()
        return True

    def judge_all(self) -> None:
        """Judge all that are kept."""
        yielded = time.monotonic()
        while self._kept:
            self._judge_next()
            if time.monotonic() - yielded > YIELD_S:
                gevent.idle()
                yielded = time.monotonic()

    def _judge_next(self) -> None:
        if self._kept:
            place, asked, raw = self._kept.popleft()
            self.kept_bytes -= len(raw) + EACH_BYTES
            self.judge(place, asked, raw)

    def judge(self, place: int, asked: Asked, raw: bytes) -> Any:
        """Note whether an answer is right, and return it decoded where it is."""
        answer = None
        if raw:
            said = read_answer(raw, asked.operation.route.method)
            if said.timing:
                self.record.told.note(place, said.timing)
            answer = self._judge(place, asked, said, raw)
        tell_locust(self.environment, self.record, asked.operation, place, self.started_ns)
        return answer

    def _judge(self, place: int, asked: Asked, said: Answer, raw: bytes) -> Any:
        status, record, operation = self.record.status[place], self.record, asked.operation
        if not operation.route.expects(status):
            outcome = Outcome.TIMEOUT if status == TIMEOUT_STATUS else Outcome.ERROR
            to = headers_of(raw).get("Location") if status in REDIRECTS else None
            reason = f"redirects to {to}" if to else _reason(said.body)
            record.fail(place, outcome, f"{status}: {reason}")
            return None
        why = ""
        try:
            answer = decoded(said.body, said.content_type)
            if operation.route.whole:
                answer = Response(status, headers_of(raw), answer)
            if operation.check(asked.params, answer):
                record.right(place, operation, asked.params)
                return answer
        except Exception as error:
            # a check that raises refuses the answer, too: what it looked for was not there
            where = said.content_type or said.body[:20] if said.body else "an empty answer"
            why = f"{type(error).__name__}: {error} in {where!r}"
        record.wrong(place, operation.name, why)
        return None


def tell_locust(
    environment: Any, record: Recorder, operation: Operation, place: int, started_ns: int
) -> None:
    """Tell Locust of a request that has ended."""
    failed = record.outcome[place] != Outcome.OK
    due_ns = record.intended_ns[place] + started_ns
    environment.events.request.fire(
        request_type=operation.route.method,
        name=operation.name,
        response_time=(record.done_ns[place] - due_ns) / 1e6,
        response_length=0,
        exception=RuntimeError("no right answer") if failed else None,
        context={},
    )


def _reason(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:100].decode(errors="replace")
