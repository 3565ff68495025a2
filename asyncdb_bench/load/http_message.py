"""Where an HTTP/1.1 answer ends (RFC 9112, 6.3), and what it says. Bytes in, no sockets.

Nearly every answer says its length in its head, which takes a microsecond to find. All others are
left to llhttp, the parser of geventhttpclient.
"""

from __future__ import annotations

from http.client import HTTPMessage
from typing import NamedTuple

from geventhttpclient.response import HTTPParseError, HTTPResponse

from asyncdb_bench_attach.timing import HEADER

WITH_BODY = frozenset(b"HTTP/1.1 %d" % code for code in range(200, 600) if code not in (204, 304))
LENGTH = b"\r\ncontent-length:"
KIND = b"\r\ncontent-type:"
TIMING = f"\r\n{HEADER}:".lower().encode()
COOKIE = b"\r\nset-cookie:"
SWITCHED = 101
"""The one status below 200 that is no interim answer."""


class ConnectionLostError(OSError):
    """The server closed the connection before its answer was complete."""


class MalformedError(OSError):
    """What came is no answer of HTTP."""


def told_length(data: bytes) -> int:
    """Return how many bytes an answer has in all, head and body, as its head tells.

    Parameters
    ----------
    data : the first bytes of the answer to a request that was not a HEAD.

    Returns
    -------
    0 where the head is not complete, or of a form that a parser must look at: it has no length or
    several, is chunked, ends the connection, or the answer has no body by its status.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 or data[:12] not in WITH_BODY:
        return 0
    head = data[: end + 2].lower()
    at = head.find(LENGTH)
    if at < 0 or b"transfer-encoding" in head:
        return 0
    after = head.find(b"\r\n", at + len(LENGTH))
    length = head[at + len(LENGTH) : after].strip(b" \t")
    if not length.isdigit() or head.find(b"content-length", after) >= 0:
        return 0
    at = head.find(b"connection:")
    if at >= 0 and head[at + 11 : head.find(b"\r\n", at)].strip(b" \t") != b"keep-alive":
        return 0
    return end + 4 + int(length)


class Message(HTTPResponse):
    """An answer as llhttp reads it; interim answers before it (1xx) are passed over.

    Parameters
    ----------
    method : of the request, which says whether the answer has a body.

    Attributes
    ----------
    whole : all of it has come.
    surplus : something came after it.
    """

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.whole = self.surplus = False

    def take(self, data: bytes) -> bool:
        """Read on; return whether the answer is whole.

        Parameters
        ----------
        data : what came; empty: the connection has ended.

        Raises
        ------
        MalformedError : it is no answer, or it may not end here.
        """
        try:
            self.feed(data)
        except HTTPParseError as error:
            if not self.whole:
                raise MalformedError(f"no answer of HTTP: {error.args[0]}") from error
            self.surplus = True
        return self.whole

    def header(self, name: str) -> str:
        """Return a header's value, empty where there is none; `name` in any case."""
        value = self.get(name, "") or ""
        return value if isinstance(value, str) else ", ".join(value)

    @property
    def body(self) -> bytes:
        """The body as far as it has come, without the marks of chunks."""
        return bytes(self._body_buffer)

    def _on_message_begin(self) -> None:
        if self.whole:
            # the base class would read the next message into the same body
            raise HTTPParseError("more than the answer")
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        super()._on_message_complete()
        self.whole = self.status_code >= 200 or self.status_code == SWITCHED


class Incoming:
    """An answer that comes in several pieces, or in an unusual form.

    Parameters
    ----------
    method : of the request.

    Attributes
    ----------
    status : of an answer that is whole.
    keeps : whether the connection may be used again after it.
    """

    def __init__(self, method: str) -> None:
        self.status = 0
        self.keeps = True
        self._method = method
        self._pieces: list[bytes] = []
        self._missing = 0
        self._message: Message | None = None

    def take(self, data: bytes) -> bool:
        """Take what came, empty at the connection's end; return whether the answer is whole.

        Raises
        ------
        MalformedError : it is no answer.
        ConnectionLostError : the connection has ended, the answer has not.
        """
        if not self._pieces and self._method != "HEAD":
            self._missing = told_length(data)
        if data:
            self._pieces.append(data)
        if self._missing:
            return self._count(data)
        return self._parse(data)

    @property
    def received(self) -> int:
        """How many bytes have come."""
        return sum(map(len, self._pieces))

    def raw(self) -> bytes:
        """Return the bytes of an answer that is whole."""
        return b"".join(self._pieces)

    def _count(self, data: bytes) -> bool:
        if not data:
            raise ConnectionLostError("connection closed before the answer was complete")
        self._missing -= len(data)
        if self._missing > 0:
            return False
        if self._missing < 0:
            self._pieces[-1] = data[: self._missing]
            self.keeps = False
        self.status = int(self._pieces[0][9:12])
        return True

    def _parse(self, data: bytes) -> bool:
        if self._message is None:
            self._message = Message(self._method)
        try:
            whole = self._message.take(data)
        except MalformedError:
            if data:
                raise
            whole = False
        if whole:
            self.status = self._message.status_code
            self.keeps = self._message.should_keep_alive() and not self._message.surplus
        elif not data:
            raise ConnectionLostError("connection closed before the answer was complete")
        return whole


class Answer(NamedTuple):
    """What an answer says.

    Parameters
    ----------
    body : without the marks of chunks.
    content_type, timing : its headers ``Content-Type`` and ``Server-Timing``, empty where it has
        none.
    """

    body: bytes
    content_type: str
    timing: str


def read_answer(raw: bytes, method: str) -> Answer:
    """Return what the bytes of a whole answer say.

    Parameters
    ----------
    raw : all that came, interim answers before it included.
    method : of the request.
    """
    if told_length(raw) == len(raw):
        end = raw.find(b"\r\n\r\n")
        head = raw[: end + 2].lower()
        return Answer(raw[end + 4 :], _value(raw, head, KIND), _value(raw, head, TIMING))
    message = Message(method)
    if not message.take(raw):
        # it ended with the connection
        message.take(b"")
    return Answer(message.body, message.header("content-type"), message.header(HEADER))


def headers_of(raw: bytes) -> HTTPMessage:
    """Return all headers of a whole answer; :func:`read_answer` is quicker and has three."""
    while raw[9:10] == b"1" and raw[9:12] != b"101":
        # an interim answer
        raw = raw[raw.find(b"\r\n\r\n") + 4 :]
    found = HTTPMessage()
    for line in raw[: raw.find(b"\r\n\r\n")].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        found[name.decode("latin-1")] = value.strip(b" \t").decode("latin-1")
    return found


def sets_cookies(raw: bytes) -> bool:
    """Return whether an answer may set a cookie."""
    return COOKIE in raw[: raw.find(b"\r\n\r\n") + 2].lower() or raw[9:10] == b"1"


def _value(raw: bytes, head: bytes, name: bytes) -> str:
    at = head.find(name)
    if at < 0:
        return ""
    at += len(name)
    return raw[at : raw.find(b"\r\n", at)].strip(b" \t").decode("latin-1")
