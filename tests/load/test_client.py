"""The client against a server that answers as it is told to: what it sends, notes and keeps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from asyncdb_bench.contract.operation import Operation, Steps, operation
from asyncdb_bench.contract.route import Route
from asyncdb_bench.contract.scenario import Session, Talk, Users
from asyncdb_bench.load import requests as drawing
from asyncdb_bench.load.judging import Judge
from asyncdb_bench.load.loop import Kept, Loop, Poll
from asyncdb_bench.load.measured import Probe
from asyncdb_bench.load.recorder import MOST_REASONS, OTHERS, Recorder
from asyncdb_bench.load.requests import Maker, Ring
from asyncdb_bench.load.requests import Steps as StepsOfUsers
from asyncdb_bench.records.step import Outcome
from asyncdb_bench_attach.timing import Phases
from tests.load.scripted import (
    END,
    PATIENCE_S,
    RESET,
    Client,
    Part,
    Server,
    answer,
    asking,
    client,
    environment,
    serving,
)

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'3\r\n{"n\r\n5;x=y\r\n": 1}\r\n0\r\nTrailer: t\r\n\r\n'
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
CLOSING = answer(b'{"n": 1}', "Connection: close")
UNTIL_END = b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"n": 1}'


def trickled(data: bytes) -> list[Part]:
    """Return an answer byte by byte."""
    parts: list[Part] = []
    for at in range(len(data)):
        parts += [data[at : at + 1], 0.0001]
    return parts


FORMS: dict[str, Sequence[Part]] = {
    "length": [answer()],
    "chunked": [CHUNKED],
    "length trickled": trickled(answer()),
    "chunked trickled": trickled(CHUNKED),
    "in two pieces": [answer()[:40], 0.01, answer()[40:]],
    "interim": [CONTINUED + answer()],
    "interim, then it": [CONTINUED, 0.01, answer()],
    "interim, chunked": [CONTINUED + CHUNKED[:90], 0.01, CHUNKED[90:]],
    "big": [answer(b'{"n": 1, "rest": "%s"}' % (b"x" * 300_000))],
    "text without a kind": [b'HTTP/1.1 200 OK\r\ncontent-length:  8 \r\n\r\n{"n": 1}'],
}
ENDING: dict[str, Sequence[Part]] = {
    "until the end": [UNTIL_END, END],
    "until the end, trickled": [*trickled(UNTIL_END), END],
    "close": [CLOSING],
    "close, in pieces": [CLOSING[:50], 0.01, CLOSING[50:]],
    "more than the answer": [answer() + b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nunheard"],
}


def named(request: bytes) -> str:
    """Return what stands in the path of a request."""
    found = re.match(rb"\w+ /(\w*)", request)
    assert found is not None
    return found[1].decode()


def by_path(forms: dict[str, Sequence[Part]]) -> Callable[[int, int, bytes], Sequence[Part]]:
    """Return a script that answers ``/3`` with the third form."""
    given = list(forms.values())
    return lambda _connection, _number, request: given[int(named(request))]


def asked_for(forms: dict[str, Sequence[Part]]) -> list[Operation]:
    return [asking(path=f"/{number}") for number in range(len(forms))]


def served(server: Server, record: Recorder) -> None:
    """See that the server was asked as often as is recorded."""
    assert len(server.came) == record.attempted == record.ledger().scheduled


def test_answers_of_every_form_are_right_and_keep_their_connection() -> None:
    with serving(by_path(FORMS)) as server, client(server.port) as asks:
        record = asks.each(*asked_for(FORMS), window_s=1.0)
        assert record.errors == {}
        assert record.ledger().ok == record.ledger().scheduled >= len(FORMS)
        served(server, record)
        assert asks.kept.opened == server.connections == 1


def test_an_answer_that_ends_its_connection_is_right_and_the_next_has_a_new_one() -> None:
    with serving(by_path(ENDING)) as server, client(server.port) as asks:
        record = asks.each(*asked_for(ENDING), window_s=1.0)
        assert record.errors == {}
        assert record.ledger().ok == record.ledger().scheduled >= len(ENDING)
        served(server, record)
        assert asks.kept.opened == server.connections == record.attempted


@pytest.mark.parametrize(
    ("parts", "outcome", "says"),
    [
        ([answer()[:-3], END], Outcome.ERROR, "ConnectionLostError: connection closed before"),
        ([CHUNKED[:-9], END], Outcome.ERROR, "ConnectionLostError: connection closed before"),
        ([answer()[:30], 0.01, RESET], Outcome.ERROR, "ConnectionResetError"),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], Outcome.ERROR, "MalformedError: no answer of HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n"], Outcome.ERROR, "MalformedError"),
        ([answer(b'{"n": 2}')], Outcome.ERROR, "wrong answer to n"),
        ([answer(b"{")], Outcome.ERROR, "wrong answer to n: DecodeError"),
        ([answer(b"{}")], Outcome.ERROR, "wrong answer to n: KeyError: 'n' in 'application/json'"),
        ([answer(b'{"error": "told to"}', status="503 Busy")], Outcome.ERROR, "503: told to"),
        ([answer(b"plain", status="504 Late")], Outcome.TIMEOUT, "504: plain"),
        ([answer()[:-3], 1.0], Outcome.TIMEOUT, "no answer within 0.3 s"),
        ([1.0], Outcome.TIMEOUT, "no answer within 0.3 s"),
    ],
)
def test_what_went_wrong_is_told(parts: Sequence[Part], outcome: Outcome, says: str) -> None:
    timeout_s = 0.3 if says.startswith("no answer") else PATIENCE_S
    with serving(lambda *_: parts) as server, client(server.port, timeout_s) as asks:
        record = asks.each(asking("POST"), window_s=0.05)
    (told,) = record.errors
    assert told.startswith(says)
    assert set(record.outcome) == {outcome}
    assert record.wrong_answers == (record.attempted if says.startswith("wrong") else 0)
    assert all(done > sent > 0 for sent, done in zip(record.sent_ns, record.done_ns, strict=True))


@pytest.mark.parametrize("ending", [END, RESET])
def test_only_what_may_be_sent_twice_is_sent_again(ending: str) -> None:
    """A kept connection that ends when the next request has been sent: nobody knows whether it was
    served. Another GET does no harm, and stays one request."""

    def script(_connection: int, number: int, _request: bytes) -> Sequence[Part]:
        return [answer() if number == 0 else ending]

    with serving(script) as server:
        with client(server.port) as asks:
            record = asks.each(asking("GET"))
            assert record.errors == {}
            assert record.ledger().ok == record.attempted > 2
            assert asks.model is not None
            assert asks.model.resent > 0
            assert len(server.came) == record.attempted + asks.model.resent
        server.came.clear()
        with client(server.port) as asks:
            record = asks.each(asking("POST"))
            assert record.ledger().error > 0
            assert record.ledger().ok + record.ledger().error == record.attempted
            served(server, record)


def test_a_connection_that_ended_between_windows_is_not_used() -> None:
    """Not even by what must not be sent twice."""
    with serving(lambda *_: [answer(), 0.05, END]) as server, client(server.port) as asks:
        post = asks.request(asking("POST"))
        for _ in range(3):
            record = asks.open(Ring([post]), [0.0])
            assert record.errors == {}
            time.sleep(0.5)
        assert asks.kept.opened == 3


def test_what_was_given_up_does_not_answer_the_next() -> None:
    late: Iterator[list[Part]] = iter([[1.5, answer(b'{"n": 9}')]])
    with serving(lambda *_: next(late, [answer()])) as server:
        with client(server.port, timeout_s=1.0) as asks:
            record = asks.open(Ring([asks.request(asking("POST"))]), [0.0, 0.5, 1.2, 1.6])
        assert record.errors == {"no answer within 1 s": 1}
        assert record.outcome[0] == Outcome.TIMEOUT
        assert record.ledger().ok == 3


def test_a_long_request_to_a_slow_reader_arrives_whole() -> None:
    text = "long " * 1_000_000

    @operation(check=lambda _, found: found["n"] == len(text), route=Route("POST", "/long"))
    def long(text: str) -> Steps:
        """Is asked for, and never run."""
        yield from ()

    given = answer(b'{"n": %d}' % len(text))
    with serving(lambda *_: [given]) as server, client(server.port) as asks:
        maker = Maker({"long": long}, ["long"], ("127.0.0.1", server.port))
        request = maker.make("long", {"text": text})
        record = asks.open(Ring([request]), [0.0, 0.0])
        assert record.errors == {}
        assert [body for _, body in server.came] == [request.request] * 2
        assert record.bytes_sent == 2 * len(request.request)


def test_nobody_listens_and_no_name() -> None:
    for address, says in (
        (("127.0.0.1", 1), "ConnectionRefusedError: Connection refused"),
        (("nobody.invalid", 80), "gaierror: "),
    ):
        with client(1) as asks:
            asks.kept = Kept(asks.loop, address, 5.0)
            record = asks.open(Ring([asks.request(asking())]), [0.0, 0.01])
        assert record.ledger().error == 2
        (told,) = record.errors
        assert told.startswith(says)
        assert list(record.sent_ns) == [0, 0]


@pytest.mark.parametrize("connections", [0, 8], ids=["open", "closed"])
def test_times_enclose_the_server_s_own(connections: int) -> None:
    """Sent before the server had it, done after the server gave it away, by one clock."""

    def script(_connection: int, _number: int, _request: bytes) -> Sequence[Part]:
        phases = Phases()
        made = answer(b'{"n": 1}', f"Server-Timing: {phases.header()}")
        return [0.02, made]

    with serving(script) as server, client(server.port) as asks:
        ring = Ring([asks.request(asking())])
        if connections:
            record = asks.closed(ring, connections, 0.5)
        else:
            due_s = np.sort(np.random.default_rng(1).uniform(0, 0.5, 100)).tolist()
            record = asks.open(ring, due_s)
    assert record.errors == {}
    served(server, record)
    columns = record.columns(asks.started_ns)
    assert (columns["arrival_us"] >= 0).all()
    assert (columns["back_us"] >= 20_000).all()
    assert (columns["sent_ns"] >= columns["intended_ns"]).all()
    came, gone = np.sort(np.array(server.stamps), axis=0).T
    assert (np.sort(columns["sent_ns"]) <= came).all()
    assert (np.sort(columns["done_ns"]) >= gone).all()
    if connections:
        begun, ended = np.sort(columns["sent_ns"]), np.sort(columns["done_ns"])
        under_way = [int((begun <= at).sum() - (ended <= at).sum()) for at in begun]
        assert max(under_way) <= connections == asks.kept.opened


def test_who_comes_while_the_server_stalls_waits_for_it_and_is_sent_all_the_same() -> None:
    """Coordinated omission: a closed loop does not even ask meanwhile. Nor does a probe wait for
    the one before."""
    stall = [0, 0]

    def script(_connection: int, _number: int, _request: bytes) -> Sequence[Part]:
        now = time.monotonic_ns()
        stall[0] = stall[0] or now + 300_000_000
        stall[1] = stall[0] + 1_500_000_000
        return [(stall[1] - now) / 1e9, answer()] if stall[0] < now < stall[1] else [answer()]

    with serving(script) as server, client(server.port) as asks:
        due_s = [number / 100 for number in range(250)]
        asks.probe = Probe(asks.loop, asks.kept, PATIENCE_S, "/healthz")
        record = asks.open(Ring([asks.request(asking())]), due_s)
        probes = asks.probe.end()
    assert record.ledger().ok == 250
    columns = record.columns(asks.started_ns)
    began, ended = stall
    within = (columns["intended_ns"] > began) & (columns["intended_ns"] < ended)
    assert within.sum() >= 149
    assert (columns["done_ns"][within] >= ended).all()
    early = within & (columns["intended_ns"] < began + 200_000_000)
    assert (columns["sent_ns"][early] < ended).all(), "not one after another"
    waited = (probes[:, 0] > began) & (probes[:, 0] < ended)
    assert waited.sum() >= 29
    assert (probes[waited].sum(axis=1) >= ended).all()


def test_above_the_limit_arrivals_are_skipped_and_counted() -> None:
    with serving(lambda *_: [1.0, answer()]) as server, client(server.port) as asks:
        record = asks.open(Ring([asks.request(asking())]), [0.0] * 30, limit=10)
    assert (record.ledger().ok, record.ledger().skipped) == (10, 20)
    assert record.attempted == 10


def test_after_a_failure_a_closed_loop_pauses() -> None:
    refusing = answer(b"{}", status="503 Busy")
    with serving(lambda *_: [refusing]) as server, client(server.port) as asks:
        record = asks.closed(Ring([asks.request(asking())]), 1, 0.3)
    starts = np.array(record.intended_ns)
    assert (np.diff(starts) >= 10_000_000).all()
    assert record.ledger().error == record.attempted


def test_where_epoll_is_not_there_poll_does() -> None:
    with serving(lambda *_: [0.002, answer()]) as server, client(server.port) as asks:
        asks.loop = Loop(readiness=Poll())
        asks.kept = Kept(asks.loop, ("127.0.0.1", server.port), PATIENCE_S)
        record = asks.open(Ring([asks.request(asking())]), [n / 200 for n in range(50)])
        assert record.ledger().ok == 50
        columns = record.columns(asks.started_ns)
        assert (columns["sent_ns"] >= columns["intended_ns"]).all()


def test_what_is_kept_until_it_is_judged_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncdb_bench.load.judging.MOST_BYTES", 10_000)
    record = Recorder(np.zeros(500, np.int64), np.zeros(500, np.int8))
    told: list[dict[str, Any]] = []
    judge, asked = Judge(record, environment(told)), Client(1).request(asking())
    for place in range(500):
        record.status[place] = 200
        # of every hundred one is wrong, each in a way of its own
        wrong = b'{"%d": 1}' % place
        judge.keep(place, asked, answer(wrong if place % 10 == 0 else b'{"n": 1}'))
        assert judge.kept_bytes <= 10_000 + 300
    judge.judge_all()
    assert judge.kept_bytes == 0
    assert record.ledger().ok == 450
    assert record.wrong_answers == 50
    assert [each["response_time"] for each in told] == [0.0] * 500


def test_of_many_reasons_the_first_are_told_and_all_are_counted() -> None:
    record = Recorder(np.zeros(100, np.int64), np.zeros(100, np.int8))
    for place in range(100):
        record.fail(place, Outcome.ERROR, f"reason {place % 50}")
    assert len(record.errors) == MOST_REASONS + 1
    assert sum(record.errors.values()) == 100
    assert record.errors["reason 0"] == 2
    assert record.errors[OTHERS] == 60


def test_of_many_requests_some_are_prepared_before_and_all_are_drawn_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Scenario:
        """Draws numbers."""

        def params(self, _name: str, rng: np.random.Generator) -> dict[str, Any]:
            """Draw one."""
            return {"number": int(rng.integers(10**9))}

    @operation(check=lambda *_: True)
    def one(number: int) -> Steps:
        """Is asked for, and never run."""
        yield from ()

    maker = Maker({"one": one}, ["one"], ("::1", 80))

    def drawn(ahead: int) -> list[bytes]:
        monkeypatch.setattr(drawing, "AHEAD", ahead)
        scenario: Any = Scenario()
        found = drawing.Drawn(scenario, maker, ["one"], np.zeros(100, np.int64), (7,))
        assert not found.prepare_one()
        requests = [found.next().request for _ in range(50)]
        assert found.prepare_one() == (ahead < 100)
        return requests + [found.next().request for _ in range(50)]

    assert drawn(1000) == drawn(10)
    assert b"Host: [::1]:80\r\n" in drawn(10)[0]


class Shop:
    """Notes what each of its visitors does; answers no look of those whose number ends on 7."""

    def __init__(self) -> None:
        self.count = 0
        self.steps: dict[str, list[str]] = {}

    def script(self, _connection: int, _number: int, request: bytes) -> Sequence[Part]:
        """Log in, or note a step."""
        what, _, visitor = request.split(b" ", 2)[1].decode().strip("/").partition("/")
        if what == "login":
            self.count += 1
            visitor = f"v{self.count}"
        self.steps.setdefault(visitor, []).append(what)
        failed = what == "look" and visitor.endswith("7")
        body = b'{"visitor": "%s"}' % visitor.encode()
        return [0.002, answer(body, status="503 Busy" if failed else "200 OK")]


def step_of(name: str, path: str) -> Operation:
    def steps(visitor: str = "") -> Steps:
        yield from ()

    steps.__name__ = name
    return operation(check=lambda _, found: bool(found["visitor"]), route=Route("GET", path))(steps)


SHOP = {
    name: step_of(name, path)
    for name, path in (("login", "/login"), ("look", "/look/{visitor}"), ("buy", "/buy/{visitor}"))
}
MOST_USERS = 6


def visit(rng: np.random.Generator) -> Talk:
    """Log in, look, and buy; those whose number ends on 3 raise after the look."""
    visitor = (yield "login", {})["visitor"]
    seen = yield "look", {"visitor": visitor}
    if visitor.endswith("3"):
        raise RuntimeError("stumbled")
    yield "buy", {"visitor": seen["visitor"]}


@pytest.mark.parametrize("connections", [0, 4], ids=["open", "closed"])
def test_sessions_go_in_their_order_and_who_fails_leaves(connections: int) -> None:
    shop = Shop()
    users = Users([Session(("login", "look", "buy"), visit)], MOST_USERS, np.random.default_rng(1))
    with serving(shop.script) as server, client(server.port) as asks:
        steps = StepsOfUsers(users, Maker(SHOP, list(SHOP), ("127.0.0.1", server.port)))
        if connections:
            record = asks.closed(steps, connections, 0.6, users)
        else:
            record = asks.open(steps, [n / 200 for n in range(100)], users=users)
        assert len(server.came) == record.attempted
    assert shop.count >= 10
    whole = ["login", "look", "buy"]
    for visitor, done in shop.steps.items():
        assert done == whole[: len(done)]
        assert not visitor.endswith(("3", "7")) or "buy" not in done
    assert record.errors["a session raised RuntimeError: stumbled"] >= 1
    assert record.errors['503: {"visitor": "v7"}'] == 1
    assert users.busy == 0
    assert len(users.waiting) <= MOST_USERS + max(connections, 4)
