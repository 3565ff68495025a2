"""Whether a network lost packets: how often TCP waited in vain for an acknowledgement.

The kernel's count (``TCPTimeouts`` in ``/proc/net/netstat``) is of all sockets of the network
namespace. Those that no process has any more go on trying to reach a peer that is gone, for minutes
after what was measured: theirs are left out (``/proc/net/tcp``: inode 0, proc_net_tcp.txt).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

NET = Path("/proc/self/net")
RETRANSMITS, INODE = 6, 9
"""Places among the fields of a socket's line."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What was lost until now: by all sockets, and by those of no process."""

    all: int
    orphans: int

    def since(self, before: Losses) -> int:
        """Return how often living sockets have waited in vain since."""
        return max(0, self.all - before.all - max(0, self.orphans - before.orphans))


def losses(net: Path = NET) -> Losses:
    """Return what was lost until now; zeros where the kernel does not tell."""
    return Losses(_timeouts(net), sum(_orphans(net / name) for name in ("tcp", "tcp6")))


def _timeouts(net: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in (net / "netstat").read_text().splitlines()]
        for names, values in zip(lines[::2], lines[1::2], strict=False):
            if names[0] == "TcpExt:" and "TCPTimeouts" in names:
                return int(values[names.index("TCPTimeouts")])
    return 0


def _orphans(table: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
        return sum(int(row[RETRANSMITS], 16) for row in rows if row[INODE] == "0")
    return 0
