"""The delay between us and the services: a proxy's process, its ports, and how exact it is."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncdb_bench.errors import ServiceError
from asyncdb_bench.services.part import Part
from asyncdb_bench.services.program import Program, free_port, is_listening
from asyncdb_bench.services.round_trip import median_ms

PROGRAM = Path(__file__).with_name("delay_proxy.py")
READY_S = 10.0
TRIES = 6
EXACT_MS = 0.01
"""Within which the median is brought; what it is in a trial is measured there."""
TOLERATED_MS, TOLERATED = 0.1, 0.05
"""How far off the median may be in the end, milliseconds or a share."""
SLACK_MS = 0.05
"""Of each direction: what waking and forwarding take, at a guess."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A service as it is reached over a round trip.

    Parameters
    ----------
    host, target : where it listens.
    rtt_ms : the round trip.
    """

    host: str
    target: int
    rtt_ms: float


class Distances:
    """The running proxy.

    Parameters
    ----------
    hops : what is reached over it, without repetition.
    folder : for its settings; removed when it ends.
    logs : folder for its log.

    Raises
    ------
    ServiceError : it does not start, or not on this system.
    """

    def __init__(self, hops: Sequence[Hop], folder: Path, logs: Path) -> None:
        if sys.platform != "linux":
            raise ServiceError("a round trip can be added on Linux alone (epoll, timerfd); --rtt 0")
        self.ports = {hop: free_port() for hop in hops}
        self.delays_ns = {hop.rtt_ms: round(hop.rtt_ms * 5e5) for hop in hops}
        self.settings = folder / "lanes.json"
        self._write()
        options = {"stop_signal": int(signal.SIGKILL), "grace_s": 1, "remove": [str(folder)]}
        command = [sys.executable, "-I", "-S", str(PROGRAM), str(self.settings)]
        log = logs / "delay-proxy.log"
        self.program = Program("the delay proxy", command, log=log, options=options)
        try:
            ports = self.ports.values()
            self.program.wait_ready(lambda: all(is_listening(each) for each in ports), READY_S)
        except BaseException:
            self.stop()
            raise

    def part(self) -> Part:
        """Return it as a part whose life is watched."""
        return self.program.part()

    def port(self, hop: Hop) -> int:
        """Return where a service is reached over a round trip."""
        return self.ports[hop]

    def adjust(self, rtt_ms: float, ask: Callable[[], list[float]], direct_ms: float) -> float:
        """Bring a round trip to what was asked for, and return what it is, milliseconds.

        Parameters
        ----------
        rtt_ms : asked for.
        ask : measures it, milliseconds each.
        direct_ms : what it is without the proxy.

        Raises
        ------
        ServiceError : it is farther away already, or the proxy cannot be so near or so exact.
        """
        if direct_ms > rtt_ms + EXACT_MS:
            raise ServiceError(
                f"the database is {direct_ms:.2f} ms away already, so it cannot be {rtt_ms:g} ms:"
                " ask for more, or leave --rtt out"
            )
        delay_ms = max(0.0, (rtt_ms - direct_ms) / 2 - SLACK_MS)
        found_ms = 0.0
        for _ in range(TRIES):
            self.delays_ns[rtt_ms] = round(delay_ms * 1e6)
            self._write()
            found_ms = median_ms(ask())
            if abs(found_ms - rtt_ms) <= EXACT_MS or (not delay_ms and found_ms > rtt_ms):
                break
            delay_ms = max(0.0, delay_ms + (rtt_ms - found_ms) / 2)
        if abs(found_ms - rtt_ms) > max(TOLERATED_MS, TOLERATED * rtt_ms):
            raise ServiceError(
                f"the delay proxy gives {found_ms:.2f} ms where {rtt_ms:g} ms were asked for: the"
                " machine is too busy, or that is nearer than it can be; try again, or --rtt 0"
            )
        return found_ms

    def stop(self) -> None:
        """End it."""
        self.program.stop()

    def _write(self) -> None:
        lanes = [
            {
                "port": port,
                "host": hop.host,
                "target": hop.target,
                "delay_ns": self.delays_ns[hop.rtt_ms],
            }
            for hop, port in self.ports.items()
        ]
        new = self.settings.with_suffix(".new")
        new.write_text(json.dumps(lanes))
        new.replace(self.settings)
