"""The application's control channel: commands on standard input, replies on standard output.

It lives in a thread of its own, since a loop that a strategy blocks could not answer; and when
standard input ends, the parent is gone and the application ends too.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

LAST_WORD_S = 3.0


class Control:
    """Reads commands and answers them.

    Parameters
    ----------
    commands : by name; each returns a JSON object.
    stop : called on the loop when the application should end.
    """

    def __init__(
        self, commands: dict[str, Callable[[], dict[str, Any]]], stop: Callable[[], None]
    ) -> None:
        self.commands = commands
        self.stop = stop
        self.loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Start to listen."""
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def _listen(self) -> None:
        for line in raw_input():
            command = msgspec.json.decode(line)["do"]
            if command == "stop":
                break
            say(**self.commands[command]())
        self.loop.call_soon_threadsafe(self.stop)
        # A loop that is stuck in a database call would never stop by itself.
        time.sleep(LAST_WORD_S)
        os._exit(1)


def raw_input() -> io.FileIO:
    """Return standard input without a buffer.

    A thread that waits in a buffered read holds its lock, which the interpreter needs to end.
    """
    return io.FileIO(0, closefd=False)


def say(**event: Any) -> None:
    """Write one line of JSON to the parent."""
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()
