"""What browsers do between two requests: keep cookies, and follow redirects. No sockets."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import suppress
from email.message import Message
from http.cookiejar import CookieJar
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

# of urllib the description of a request alone, which http.cookiejar reads
from urllib.request import Request as Described

from asyncdb_bench.contract.route import PLAIN, Request

MOST_HOPS = 10


class Cookies:
    """The cookies of one user at one application, by the rules of :mod:`http.cookiejar`.

    Parameters
    ----------
    host, port : of the application.
    """

    def __init__(self, host: str, port: int) -> None:
        self._origin = f"http://{host}:{port}"
        self._jar = CookieJar()
        self._known: dict[str, str] = {}
        self._known_until_s = 0.0
        self._by_path = False

    def take(self, target: str, headers: Message) -> None:
        """Take what an answer sets.

        Parameters
        ----------
        target : path and query of its request.
        headers : of the answer.
        """
        self._jar.extract_cookies(_said(headers), self._described(target))
        self._known_until_s = 0.0

    def added_to(self, asked: Request) -> Request:
        """Return a request with the cookies that belong to it; one with its own has no others."""
        if any(name.lower() == "cookie" for name in asked.headers):
            return asked
        if time.time() >= self._known_until_s:
            self._known.clear()
            expiring = [each.expires for each in self._jar if each.expires]
            self._known_until_s = min(expiring, default=math.inf)
            self._by_path = any(each.path != "/" for each in self._jar)
        path = asked.target.partition("?")[0] if self._by_path else "/"
        if path not in self._known:
            # http.cookiejar takes 70 us for it
            described = self._described(path)
            self._jar.add_cookie_header(described)
            self._known[path] = described.get_header("Cookie") or ""
        found = self._known[path]
        return asked._replace(headers={**asked.headers, "Cookie": found}) if found else asked

    @property
    def names(self) -> set[str]:
        """Of those that may be sent: not over HTTPS alone."""
        return {each.name for each in self._jar if not each.secure}

    def _described(self, target: str) -> Described:
        return Described(self._origin + target)  # noqa: S310 - nothing is opened


def set_by(headers: Message) -> dict[str, str]:
    """Return the cookies that an answer sets, by name, whatever they are for."""
    made = CookieJar().make_cookies(_said(headers), Described("http://localhost/"))
    return {each.name: each.value or "" for each in made}


def _said(headers: Message) -> Any:
    """Return an answer as http.cookiejar reads it."""
    return SimpleNamespace(info=lambda: headers)


def message_of(headers: Iterable[tuple[str, str]]) -> Message:
    """Return headers by names in any case; several may have one name."""
    found = Message()
    for name, value in headers:
        found[name] = value
    return found


def redirected(
    asked: Request, status: int, location: str, host: str, port: int, hops: int = 1
) -> Request:
    """Return the request that a redirect asks for, as browsers do it.

    Parameters
    ----------
    asked : what was redirected.
    status, location : of the answer.
    host, port : of the application.
    hops : how many redirects there were with this one.

    Raises
    ------
    ValueError : it leads out of the application, nowhere, or on after :data:`MOST_HOPS`.
    """
    if hops > MOST_HOPS:
        raise ValueError(f"redirects more than {MOST_HOPS} times, then to {location}")
    origin = f"http://{host}:{port}"
    with suppress(UnicodeError):
        # headers are read as latin-1, and many servers, Tornado's among them, write UTF-8
        location = location.encode("latin-1").decode()
    to = urlsplit(urljoin(origin + asked.target, location))
    inside = to.scheme == "http" and (to.hostname, to.port or 80) == (host.strip("[]"), port)
    if not location or not inside:
        raise ValueError(f"redirects to {location or 'nowhere'}, out of {origin}")
    target = quote(to.path or "/", PLAIN) + (f"?{quote(to.query, PLAIN + '?')}" if to.query else "")
    if status in {307, 308} or asked.method == "HEAD" or (status == 301 and asked.method != "POST"):
        return asked._replace(target=target)
    kept = [each for each in asked.headers if not each.lower().startswith("content-")]
    return Request("GET", target, {name: asked.headers[name] for name in kept}, b"")
