"""The delay between us and the services: a proxy's process, its ports, and its delays."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.services.part import Part
from asyncdb_bench.services.program import Program, free_port, is_listening

PROGRAM = Path(__file__).with_name("delay_proxy.py")
READY_S = 10.0
ANSWER_S = 2.0
"""How long the proxy may take to confirm new delays: it is at most as busy as its core."""


class Hop(NamedTuple):
    """A service that is reached through the proxy, by where it listens."""

    host: str
    target: int


class Distances:
    """The running proxy.

    Parameters
    ----------
    hops : what is reached through it.
    folder : for its settings; removed when it ends.
    logs : folder for its log.

    Raises
    ------
    ServiceError : it does not start, or not on this system.
    """

    def __init__(self, hops: Iterable[Hop], folder: Path, logs: Path) -> None:
        if sys.platform != "linux":
            raise ServiceError("a round trip can be added on Linux alone (epoll, timerfd); --rtt 0")
        self.ports = {hop: free_port() for hop in dict.fromkeys(hops)}
        self.folder = folder
        self._control = folder / "proxy"
        self._socket: socket.socket | None = None
        lanes = [
            {"port": port, "host": hop.host, "target": hop.target}
            for hop, port in self.ports.items()
        ]
        settings = folder / "lanes.json"
        settings.write_text(json.dumps({"control": str(self._control), "lanes": lanes}))
        options = {"stop_signal": int(signal.SIGKILL), "grace_s": 1, "remove": [str(folder)]}
        command = [sys.executable, "-I", "-S", str(PROGRAM), str(settings)]
        log = logs / "delay-proxy.log"
        self.program = Program("the delay proxy", command, log=log, options=options)
        try:
            ports = self.ports.values()
            self.program.wait_ready(lambda: all(is_listening(each) for each in ports), READY_S)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.bind(str(folder / "harness"))
            self._socket.settimeout(ANSWER_S)
            self._socket.connect(str(self._control))
        except OSError as error:
            self.stop()
            raise ServiceError(f"the delay proxy cannot be told its delays: {error}") from error
        except BaseException:
            self.stop()
            raise

    def part(self) -> Part:
        """Return it as a part whose life is watched."""
        return self.program.part()

    def port(self, hop: Hop) -> int:
        """Return where a service is reached through it."""
        return self.ports[hop]

    def set_delays(self, delays_ms: Mapping[Hop, float]) -> None:
        """Set the delay of each direction; connections that are open have it from now on.

        Parameters
        ----------
        delays_ms : milliseconds; what is not named keeps its delay.

        Raises
        ------
        ServiceError : the proxy does not answer.
        """
        assert self._socket is not None
        given = {self.ports[hop]: round(each * 1e6) for hop, each in delays_ms.items()}
        try:
            self._socket.send(json.dumps(given).encode())
            self._socket.recv(16)
        except OSError as error:
            raise ServiceError(f"the delay proxy does not take a new delay: {error}") from error

    def stop(self) -> None:
        """End it."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self.program.stop()
