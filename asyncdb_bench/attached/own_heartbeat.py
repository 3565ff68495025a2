"""The heartbeat of an attached application, which begins when it is first asked."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os

from asyncdb_bench.attached.beats import Beating

PATH = "/.well-known/asyncdb-bench"
EVERY_US = 4000
"""A beat of a millisecond took 2 to 5 % of a core of somebody's application."""


class OwnHeartbeat:
    """Beats in the application's loop from the first question on, and answers with what it noted.

    While no one asks it stops by itself: what it notes is bounded.
    """

    def __init__(self) -> None:
        self._beating: Beating | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def answer(self) -> bytes:
        """Return what was noted since the last question, as JSON."""
        loop = asyncio.get_running_loop()
        if self._beating is None or self._loop is not loop or not self._beating.beats:
            self._beating, self._loop = Beating(dict, every_us=EVERY_US), loop
            self._beating.start()
            at_us: list[int] = []
            lag_us: list[int] = []
        else:
            at_us, lag_us, _ = self._beating.take()
        told = {"pid": os.getpid(), "at_us": at_us, "lag_us": lag_us, "every_us": EVERY_US}
        return json.dumps(told, separators=(",", ":")).encode()


def is_local(address: str | None) -> bool:
    """Return whether a client is of this machine.

    Parameters
    ----------
    address : the client's; None or a path: a socket of this machine's file system.
    """
    if not address or address.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
