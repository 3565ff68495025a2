"""Messages between the load's master and its workers that only who knows the token can write.

Locust takes whoever connects. A worker is let in when it answers the master's random challenge with
an HMAC under the token (RFC 2104), which itself is never sent; all messages after that carry an
HMAC under the session's own key, and a number that only rises, so that none can be repeated.
"""

from __future__ import annotations

import hmac
import secrets

from asyncdb_bench.errors import ServiceError

DIGEST = "sha256"


class ForgedError(ServiceError):
    """A message was not written by the other end of its session."""


def challenge() -> bytes:
    """Return a random challenge."""
    return secrets.token_bytes(16)


def answer(token: str, asked: bytes, own: bytes, name: str) -> bytes:
    """Return what proves that its writer knows the token.

    Parameters
    ----------
    token : shared by master and workers.
    asked, own : the master's challenge and the worker's.
    name : by which Locust knows the worker.
    """
    return hmac.digest(token.encode(), b"worker" + asked + own + name.encode(), DIGEST)


def is_answer(token: str, asked: bytes, own: bytes, name: str, given: bytes) -> bool:
    """Return whether an answer is right; parameters as of :func:`answer`."""
    return hmac.compare_digest(answer(token, asked, own, name), given)


class Session:
    """One end of a session.

    Parameters
    ----------
    token, asked, own, name : see :func:`answer`.
    master : whether it is the master's end.
    """

    def __init__(self, token: str, asked: bytes, own: bytes, name: str, *, master: bool) -> None:
        self._key = hmac.digest(token.encode(), b"session" + asked + own + name.encode(), DIGEST)
        self._sends, self._receives = (b"m", b"w") if master else (b"w", b"m")
        self._sent = 0
        self._received = 0

    def sealed(self, body: bytes) -> dict[str, object]:
        """Return a message's data, for Locust to send."""
        self._sent += 1
        return {"n": self._sent, "body": body, "mac": self._mac(self._sends, self._sent, body)}

    def opened(self, data: object) -> bytes:
        """Return the body of a message that was received.

        Raises
        ------
        ForgedError : it is not the other end's, or was received before.
        """
        if not isinstance(data, dict):
            raise ForgedError("a message without a seal")
        number, body, mac = data.get("n"), data.get("body"), data.get("mac")
        if not isinstance(number, int) or not isinstance(body, bytes) or not isinstance(mac, bytes):
            raise ForgedError("a message without a seal")
        if not hmac.compare_digest(self._mac(self._receives, number, body), mac):
            raise ForgedError("a message whose seal is wrong")
        if number <= self._received:
            raise ForgedError("a message that was sent before")
        self._received = number
        return body

    def _mac(self, direction: bytes, number: int, body: bytes) -> bytes:
        return hmac.digest(self._key, direction + number.to_bytes(8, "big") + body, DIGEST)
