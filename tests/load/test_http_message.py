"""Where an answer ends: the short way and the parser agree, however its bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdb_bench.load.http_message import (
    ConnectionLostError,
    Incoming,
    MalformedError,
    Message,
    read_answer,
    told_length,
)

TOKENS = st.text("abcXYZ-", min_size=1, max_size=8)
VALUES = st.text("abc;=,/ 019", max_size=12).map(str.strip)
HEADERS = st.lists(st.tuples(TOKENS.map("X-{}".format), VALUES), max_size=4)


def raw(status: int, headers: list[tuple[str, str]], body: bytes, *, chunked: bool) -> bytes:
    """Return an answer's bytes."""
    lines = [f"HTTP/1.1 {status} Reason", *(f"{name}: {value}" for name, value in headers)]
    if not chunked:
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
    head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode()
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in [*pieces, b""])


@given(
    st.sampled_from((200, 201, 301, 404, 503)),
    HEADERS,
    st.binary(max_size=60),
    st.booleans(),
    st.lists(st.integers(0, 300), max_size=5),
)
def test_an_answer_in_any_pieces_is_whole_at_its_end_and_says_the_same(
    status: int, headers: list[tuple[str, str]], body: bytes, chunked: bool, cuts: list[int]
) -> None:
    data = raw(status, [*headers, ("Content-Type", "text/x")], body, chunked=chunked)
    incoming, at = Incoming("GET"), 0
    for cut in sorted({min(each, len(data)) for each in (*cuts, len(data))} - {0}):
        assert incoming.take(data[at:cut]) == (cut == len(data))
        at = cut
    assert (incoming.status, incoming.keeps, incoming.raw()) == (status, True, data)
    assert read_answer(data, "GET")[:2] == (body, "text/x")
    parsed = Message("GET")
    assert parsed.take(data)
    assert parsed.body == body
    assert told_length(data) in ((0,) if chunked else (0, len(data)))


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 204 No Content\r\nContent-Length: 3",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 3",
        "HTTP/1.1 100 Continue\r\nContent-Length: 3",
        "HTTP/1.0 200 OK\r\nContent-Length: 3",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4",
        "HTTP/1.1 200 OK\r\nContent-Length: +3",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close",
        "HTTP/1.1 200 OK\r\nX-Content-Length: 3",
    ],
)
def test_an_unusual_head_is_left_to_the_parser(head: str) -> None:
    assert told_length(f"{head}\r\n\r\nabc".encode()) == 0


def test_the_usual_head_is_not() -> None:
    usual = b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\ncontent-LENGTH: 3\r\n\r\n"
    assert told_length(usual) == len(usual) + 3
    assert told_length(usual[:-2]) == 0


def test_an_answer_to_head_has_no_body() -> None:
    incoming = Incoming("HEAD")
    assert incoming.take(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n")
    assert incoming.keeps
    assert read_answer(incoming.raw(), "HEAD").body == b""


def test_what_may_not_end_here_is_lost_and_what_is_none_is_malformed() -> None:
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 200"):
        incoming = Incoming("GET")
        assert not incoming.take(data)
        with pytest.raises(ConnectionLostError):
            incoming.take(b"")
    with pytest.raises(MalformedError, match="no answer of HTTP"):
        Incoming("GET").take(b"220 mail.example\r\n\r\n")
