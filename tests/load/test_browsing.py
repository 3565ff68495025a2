"""Statuses, cookies and redirects, as the client sends and judges them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncdb_bench import Route, Session, Steps, Talk, operation
from asyncdb_bench.contract.browsing import redirected
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.route import Request
from asyncdb_bench.contract.scenario import Users
from asyncdb_bench.load.http_message import headers_of, sets_cookies
from asyncdb_bench.load.measured import ClosedLoop
from asyncdb_bench.load.requests import Maker, Ring
from asyncdb_bench.load.requests import Steps as StepsOfUsers
from tests.in_thread import served
from tests.load.scripted import Part, answer, client, serving

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "their_app"))
COOKIE = re.compile(rb"\r\nCookie: ([^\r]*)")


def asked(
    method: str = "GET",
    path: str = "/",
    check: Callable[[Any], bool] = lambda found: found == "",
    name: str = "n",
    **route: Any,
) -> Operation:
    def steps() -> Steps:
        yield from ()

    steps.__name__ = name
    return operation(check=lambda _, found: check(found), route=Route(method, path, **route))(steps)


def said(status: str, *head: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *head, "", ""]).encode()


JSON_HEAD = "Content-Type: application/json"
WITHOUT_BODY = {
    "204": (said("204 No Content"), asked("DELETE")),
    "204 with a length": (said("204 No Content", "Content-Length: 0"), asked("PUT")),
    "205": (said("205 Reset Content", "Content-Length: 0"), asked("POST")),
    "304": (said("304 Not Modified", "Content-Length: 9"), asked(statuses=(304,))),
    "304 or 200": (said("304 Not Modified", 'Etag: "a"'), asked(statuses={200, 304})),
    "HEAD": (said("200 OK", JSON_HEAD, "Content-Length: 9"), asked("HEAD")),
    "OPTIONS": (said("204 No Content", "Allow: GET"), asked("OPTIONS")),
    "201, empty": (said("201 Created", JSON_HEAD, "Content-Length: 0"), asked("POST")),
    "200, chunks, empty": (
        said("200 OK", JSON_HEAD, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        asked("POST"),
    ),
    "404 is right": (said("404 Not Found", "Content-Length: 0"), asked(statuses=(404, 410))),
    "302 is right": (said("302 Found", "Location: /x", "Content-Length: 0"), asked(statuses=[302])),
    "headers": (
        said("201 Created", "LOCATION: /n/7", "X-A: 1", "x-a: 2", "Content-Length: 0"),
        asked(
            "POST",
            check=lambda found: (
                (found.status, found.headers["Location"], found.headers.get_all("X-A"), found.body)
                == (201, "/n/7", ["1", "2"], "")
            ),
            whole=True,
        ),
    ),
    "headers behind an interim answer": (
        said("103 Early Hints", "Link: </a>") + said("204 No Content", "X-A: 1"),
        asked(check=lambda found: found.headers["x-a"] == "1", whole=True),
    ),
}


@pytest.mark.parametrize("form", WITHOUT_BODY)
def test_an_answer_without_a_body_is_judged_by_its_check(form: str) -> None:
    data, op = WITHOUT_BODY[form]
    with serving(lambda *_: [data]) as server, client(server.port) as asks:
        record = asks.each(op)
        assert record.errors == {}
        assert record.ledger().ok == record.ledger().scheduled > 1
        assert asks.kept.opened == 1, "the connection is kept"


def test_the_closed_loop_pauses_after_what_is_wrong_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[int] = []
    pause = ClosedLoop._pause

    def noted(self: ClosedLoop) -> None:
        paused.append(1)
        pause(self)

    monkeypatch.setattr(ClosedLoop, "_pause", noted)
    data = said("404 Not Found", "Content-Length: 0")
    with serving(lambda *_: [data]) as server, client(server.port) as asks:
        assert asks.each(asked(statuses=(404,))).errors == {}
        assert not paused
        assert asks.each(asked()).errors
        assert paused


@pytest.mark.parametrize(
    ("data", "op", "says"),
    [
        (said("302 Found", "Location: /x", "Content-Length: 0"), asked(), "302: redirects to /x"),
        (said("200 OK", "Content-Length: 0"), asked(statuses=(204,)), "200: "),
        (
            said("200 OK", JSON_HEAD, "Content-Length: 0"),
            asked(check=lambda found: found["id"] == 1),
            "wrong answer to n: TypeError: string indices must be integers, not 'str' in"
            " 'an empty answer'",
        ),
        (
            said("302 Found", "Location: https://127.0.0.1/x", "Content-Length: 0"),
            asked(follow=True),
            "302: redirects to https://127.0.0.1/x, out of http://127.0.0.1:PORT",
        ),
        (
            said("303 See Other", "Content-Length: 0"),
            asked("POST", follow=True),
            "303: redirects to nowhere, out of http://127.0.0.1:PORT",
        ),
        (
            said("307 Again", "Location: /", "Content-Length: 0"),
            asked(follow=True),
            "307: redirects more than 10 times, then to /",
        ),
    ],
)
def test_what_is_not_expected_is_told(data: bytes, op: Operation, says: str) -> None:
    with serving(lambda *_: [data]) as server, client(server.port) as asks:
        record = asks.each(op)
        assert record.ledger().ok == 0
        assert list(record.errors) == [says.replace("PORT", str(server.port))]


def test_a_redirect_is_followed_within_its_request_with_the_cookies_that_it_sets() -> None:
    def script(_connection: int, _number: int, request: bytes) -> Sequence[Part]:
        path = request.split(b" ")[1]
        if path == b"/in":
            cookie = f"Set-Cookie: n={len(server.came)}; Path=/"
            return [said("302 Found", cookie, "Location: there/?x=1#top", "Content-Length: 0")]
        if path == b"/there/?x=1":
            return [0.01, said("307 Again", "Location: /last", "Content-Length: 0")]
        return [0.01, answer()]

    op = asked("POST", "/in", lambda found: found["n"] == 1, follow=True, headers={"X-A": "b"})
    with serving(script) as server, client(server.port) as asks:
        record = asks.open(Ring([asks.request(op)]), [0.0, 0.05, 0.1])
        assert record.errors == {}
        assert record.ledger().ok == record.attempted == 3
        came = [request for _, request in server.came]
        assert len(came) == 9
        for place, request in enumerate(came):
            assert b"X-A: b\r\n" in request
            if b"/in " in request:
                assert request.startswith(b"POST ")
                assert not COOKIE.search(request), "each request stands for itself"
            else:
                assert request.startswith(b"GET ")
                assert b"Content-Length" not in request
                assert COOKIE.search(request), place
        took_ns = np.subtract(record.done_ns, record.sent_ns)
        assert np.all(took_ns > 19e6), "from the first request to the last answer"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/st\xc3\xa4dte?q=\xc3\xbc b", "/st%C3%A4dte?q=%C3%BC%20b"),
        ("/st\xe4dte", "/st%C3%A4dte"),
        ("?page=2", "/a/b?page=2"),
        ("../c%20d", "/c%20d"),
        ("http://127.0.0.1:80", "/"),
    ],
)
def test_where_a_redirect_leads(location: str, target: str) -> None:
    before = Request("POST", "/a/b?x=1", {"Content-Type": "a/b", "X": "y"}, b"body")
    assert redirected(before, 303, location, "127.0.0.1", 80) == Request(
        "GET", target, {"X": "y"}, b""
    )


def test_a_redirect_keeps_method_and_body_where_it_must() -> None:
    def script(_connection: int, _number: int, request: bytes) -> Sequence[Part]:
        status = {b"/a": "307 Again", b"/b": "308 Moved"}.get(request.split(b" ")[1])
        to = ["Location: /c", "Content-Length: 0"]
        return [said(status, *to) if status else answer()]

    with serving(script) as server, client(server.port) as asks:
        for path in ("/a", "/b"):
            op = asked("PUT", path, lambda found: found["n"] == 1, follow=True)
            assert asks.open(Ring([asks.request(op)]), [0.0]).errors == {}
        last = [request for _, request in server.came if b" /c " in request]
        assert [each.split(b" ")[0] for each in last] == [b"PUT", b"PUT"]
        assert all(each.endswith(b"\r\n\r\n{}") for each in last)


SETS = {
    "usual": ("a=1; Path=/; HttpOnly; SameSite=Lax", True),
    "until later": ("a=1; Path=/; Max-Age=3600", True),
    "of its folder": ("a=1", False),
    "of its path": ("a=1; Path=/in", False),
    "of a path above": ("a=1; Path=/me", True),
    "of somebody else": ("a=1; Path=/; Domain=example.org", False),
    "for HTTPS alone": ("a=1; Path=/; Secure", False),
    "gone at once": ("a=1; Path=/; Max-Age=0", False),
    "gone long ago": ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", False),
}


@pytest.mark.parametrize("kind", SETS)
def test_a_users_cookies_are_sent_back_where_they_belong(kind: str) -> None:
    cookie, comes_back = SETS[kind]

    def script(_connection: int, _number: int, request: bytes) -> Sequence[Part]:
        return [answer(b'{"n": 1}', *([f"set-cookie: {cookie}"] if b"/in/" in request else []))]

    def visit(_: np.random.Generator) -> Talk:
        yield "enter", {}
        yield "me", {}

    ops = {
        "enter": asked("GET", "/in/", lambda found: found["n"] == 1, name="enter"),
        "me": asked("GET", "/me/x?y=1", lambda found: found["n"] == 1, name="me"),
    }
    users = Users([Session(("enter", "me"), visit)], 1, np.random.default_rng(1))
    with serving(script) as server, client(server.port) as asks:
        steps = StepsOfUsers(users, Maker(ops, list(ops), ("127.0.0.1", server.port)))
        record = asks.open(steps, [0.0, 0.05, 0.1, 0.15], users=users)
        assert record.errors == {}
        found = [COOKIE.search(request) for _, request in server.came if b"/me/" in request]
    assert found
    assert [each is not None and each[1] == b"a=1" for each in found] == [comes_back] * len(found)


def test_each_user_has_cookies_of_its_own_until_they_are_taken_back() -> None:
    count = 0

    def script(_connection: int, _number: int, request: bytes) -> Sequence[Part]:
        nonlocal count
        sent = COOKIE.search(request)
        if b"/in" in request:
            count += 1
            assert sent is None
            return [answer(b'{"n": %d}' % count, f"Set-Cookie: who={count}", "Set-Cookie: x=1")]
        if b"/out" in request:
            return [answer(b'{"n": 0}', "Set-Cookie: who=; Max-Age=0")]
        who = re.search(rb"who=(\d+)", sent[1]) if sent else None
        return [0.002, answer(b'{"n": %s}' % (who[1] if who else b"0"))]

    def visit(_: np.random.Generator) -> Talk:
        mine = (yield "enter", {})["n"]
        for name in ("me", "me"):
            assert (yield name, {})["n"] == mine
        yield "leave", {}
        assert (yield "me", {})["n"] == 0

    names = ("enter", "me", "leave")
    ops = {
        name: asked("GET", path, lambda found: found["n"] >= 0, name=name)
        for name, path in zip(names, ("/in", "/me", "/out"), strict=True)
    }
    steps_of_one = ("enter", "me", "me", "leave", "me")
    users = Users([Session(steps_of_one, visit)], 5, np.random.default_rng(1))
    with serving(script) as server, client(server.port) as asks:
        steps = StepsOfUsers(users, Maker(ops, list(ops), ("127.0.0.1", server.port)))
        record = asks.closed(steps, 4, 0.5, users)
        assert record.errors == {}
        assert count > 1
        served = [request for _, request in server.came if b" /me " in request]
        assert any(b"Cookie: x=1\r\n" in each for each in served), (
            "only what was taken back is gone"
        )


@pytest.mark.parametrize("connections", [0, 4], ids=["open", "closed"])
def test_tornados_members_sign_in_with_signed_cookies_and_xsrf_tokens(connections: int) -> None:
    from members import application  # type: ignore[import-not-found]
    from signed_in import STEPS, SignedIn  # type: ignore[import-not-found]

    scenario = SignedIn(SignedIn.Knobs())
    users = Users(scenario.sessions(), 5, np.random.default_rng(3))
    with served(application()) as port, client(port) as asks:
        ops = scenario.workload().operations
        steps = StepsOfUsers(users, Maker(ops, list(scenario.mix()), ("127.0.0.1", port)))
        if connections:
            record = asks.closed(steps, connections, 1.0, users)
        else:
            record = asks.open(steps, [n / 100 for n in range(100)], users=users)
    assert record.errors == {}
    assert record.ledger().ok == record.ledger().scheduled > len(STEPS)
    assert set(record.operations) == set(range(len(STEPS)))


def test_headers_are_those_of_the_last_head() -> None:
    raw = (
        said("100 Continue") + said("103 Hints", "X: 0") + said("200 OK", "x: 1", "X:2 ") + b"X: 3"
    )
    assert headers_of(raw).get_all("X") == ["1", "2"]
    assert not sets_cookies(said("200 OK", "X: 1") + b"\r\nSet-Cookie: in the body")
    assert sets_cookies(said("200 OK", "SET-COOKIE: a=1"))
