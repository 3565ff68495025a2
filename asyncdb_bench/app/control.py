"""The application's control channel: commands on standard input, replies on standard output.

It lives in a thread of its own, since a loop that a strategy blocks could not answer; and when
standard input ends, the parent is gone and the application ends too.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable

import msgspec

from asyncdb_bench.records.messages import Mark, decoded_order, read_line, say

LAST_WORD_S = 3.0


class Control:
    """Reads orders and answers them.

    Parameters
    ----------
    mark : answers :class:`Mark`.
    stop : called on the loop when the application should end.
    """

    def __init__(self, mark: Callable[[], msgspec.Struct], stop: Callable[[], None]) -> None:
        self.mark = mark
        self.stop = stop
        self.loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Start to listen."""
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def _listen(self) -> None:
        while line := read_line():
            if not isinstance(decoded_order(line), Mark):
                break
            say(self.mark())
        self.loop.call_soon_threadsafe(self.stop)
        # A loop that is stuck in a database call would never stop by itself.
        time.sleep(LAST_WORD_S)
        os._exit(1)
