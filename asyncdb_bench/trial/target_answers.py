"""Questions to somebody's application, and why an answer is not what was expected."""

from __future__ import annotations

import http.client
import itertools
from email.message import Message
from typing import Any, NamedTuple

from asyncdb_bench.contract.browsing import Cookies, redirected, set_by
from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.route import REDIRECTS, Request, host_of


class Said(NamedTuple):
    """An answer as it came."""

    status: int
    headers: Message
    body: bytes


def asked(host: str, port: int, request: Request, timeout_s: float) -> Said:
    """Ask once, on a connection of its own."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request(request.method, request.target, request.body or None, request.headers)
        answer = connection.getresponse()
        return Said(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Visitor:
    """Somebody who keeps the cookies of an application, and follows its redirects where asked to.

    Parameters
    ----------
    host, port : of the application.
    timeout_s : for each answer.

    Attributes
    ----------
    kept_back : names of cookies that were set and are not sent.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.cookies = Cookies(host_of(host), port)
        self.kept_back: set[str] = set()
        self._place = host, port

    def ask(self, request: Request, *, follow: bool) -> Said:
        """Ask once, and go where a redirect leads to if `follow` says so.

        Raises
        ------
        ValueError : it leads out of the application, or too far.
        OSError, http.client.HTTPException : no answer came.
        """
        host, port = self._place
        for hops in itertools.count(1):
            said = asked(host, port, self.cookies.added_to(request), self.timeout_s)
            self.cookies.take(request.target, said.headers)
            self.kept_back |= set_by(said.headers).keys() - self.cookies.names
            if not follow or said.status not in REDIRECTS:
                break
            location = said.headers.get("Location", "")
            request = redirected(request, said.status, location, host_of(host), port, hops)
        return said


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
