"""One question to somebody's application, and why an answer is not what was expected."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

from asyncdb_bench.contract.route import Request, decoded


def asked(
    host: str, port: int, request: Request, timeout_s: float
) -> tuple[int, dict[str, str], bytes]:
    """Ask once, on a connection of its own; return status, headers in lower case, and body."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request(request.method, request.target, request.body or None, request.headers)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()
    finally:
        connection.close()


def wrong(status: int, headers: dict[str, str], body: bytes, check: Callable[[Any], bool]) -> str:
    """Return why an answer is not what was expected; empty: it is.

    Parameters
    ----------
    status, headers, body : of the answer.
    check : takes the answer as the client has it.
    """
    if 300 <= status < 400:
        where = headers.get("location", "nowhere")
        return f"redirects to {where}: let the route ask there, or log in first in a session"
    if not 200 <= status < 300:
        return f"answers {status}: {body[:120].decode(errors='replace')!r}"
    kind = headers.get("content-type", "")
    try:
        answer = decoded(body, kind)
        right = check(answer)
    except Exception as error:
        return (
            f"answers what its check does not take ({type(error).__name__}: {error}), as"
            f" {kind or 'no content type'}: {body[:80].decode(errors='replace')!r}"
        )
    return "" if right else f"answers wrongly: {body[:120].decode(errors='replace')!r}"
