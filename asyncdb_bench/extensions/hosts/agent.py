"""What only the machine itself can tell or do: ``python -m asyncdb_bench.extensions.hosts.agent``.

It answers questions from standard input as long as that is open. Then it lets go on what it has
stopped, removes the folder that it came in, and ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from asyncdb_bench import clock
from asyncdb_bench.extensions.hosts import agent_messages as m
from asyncdb_bench.measure.monitor import Monitor
from asyncdb_bench.plan.cores import usable_cores
from asyncdb_bench.processes.host import describe_machine
from asyncdb_bench.processes.pausing import Stoppable
from asyncdb_bench.processes.place import HERE
from asyncdb_bench.services.distances import broker_round_trips, database_round_trips, median_ms

# Whether a network lost packets: how often TCP waited in vain for an acknowledgement. The kernel's
# count (``TCPTimeouts`` in ``/proc/net/netstat``) is of all sockets of the network namespace. Those
# that no process has any more go on trying to reach a peer that is gone, for minutes after what was
# measured: theirs are left out (``/proc/net/tcp``: inode 0, proc_net_tcp.txt).

NET = Path("/proc/self/net")
LOCAL, REMOTE, RETRANSMITS, INODE = 1, 2, 6, 9
"""Places among the fields of a socket's line."""
LAST_TRIES = 2
"""Of a socket that is gone now: the one that its peer answered, and perhaps one before it; the
kernel doubles the time between two, from 0.2 s."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What was lost until now: by all sockets, and by each of those of no process."""

    all: int
    orphans: dict[str, int]

    def since(self, before: Losses) -> int:
        """Return how often sockets of processes have waited in vain since."""
        theirs = sum(max(0, n - before.orphans.get(key, 0)) for key, n in self.orphans.items())
        theirs += LAST_TRIES * len(before.orphans.keys() - self.orphans.keys())
        return max(0, self.all - before.all - theirs)


def losses(net: Path = NET) -> Losses:
    """Return what was lost until now; nothing where the kernel does not tell."""
    return Losses(_timeouts(net), _orphans(net / "tcp") | _orphans(net / "tcp6"))


def _timeouts(net: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in (net / "netstat").read_text().splitlines()]
        for names, values in zip(lines[::2], lines[1::2], strict=False):
            if names[0] == "TcpExt:" and "TCPTimeouts" in names:
                return int(values[names.index("TCPTimeouts")])
    return 0


def _orphans(table: Path) -> dict[str, int]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
        tries = {
            f"{row[LOCAL]} {row[REMOTE]}": int(row[RETRANSMITS], 16)
            for row in rows
            if row[INODE] == "0"
        }
        return {key: count for key, count in tries.items() if count}
    return {}


BEAT_S = 0.25
LOOK_S = 0.06
FOLDER = "asyncdb-bench-host-"


class Agent:
    """Answers questions."""

    def __init__(self) -> None:
        self.monitor: Monitor | None = None
        self.losses = losses()
        self.stopped: dict[tuple[int, ...], Stoppable] = {}

    def answer(self, asked: m.Question) -> m.Answer:
        """Answer a question."""
        match asked:
            case m.Look():
                answer: m.Answer = self._look(asked)
            case m.Tick():
                answer = m.Tock(time.monotonic_ns())
            case m.Begin():
                answer = self._begin(asked)
            case m.End():
                answer = self._used(asked)
            case m.Pin():
                HERE.pin("", asked.pids, asked.cores)
                answer = m.State()
            case m.RoundTrip():
                answer = self._round_trip(asked)
            case _:
                answer = self._moved(asked)
        return answer

    def let_go(self) -> None:
        """Let all go on that was stopped."""
        for each in self.stopped.values():
            each.resume()

    def _look(self, asked: m.Look) -> m.Machine:
        unwatched = []
        if not Path("/proc/self/stat").exists():
            unwatched.append("CPU time, memory and threads (no /proc)")
        elif not Path("/proc/1/stat").exists():
            unwatched.append("processes of others (/proc is restricted)")
        if asked.cores and not _may_pin(asked.cores):
            unwatched.append(f"cores {list(asked.cores)} cannot be had: the kernel refused")
        pids = {role: _pids(names) for role, names in asked.programs.items()}
        unwatched += [
            f"{role}: no such process is visible" for role, each in pids.items() if not each
        ]
        return m.Machine(
            clock=clock.identity(),
            machine=dict(describe_machine()),
            cores=usable_cores(),
            unwatched=tuple(unwatched),
            pids={role: each for role, each in pids.items() if each},
        )

    def _begin(self, asked: m.Begin) -> m.State:
        self.monitor = Monitor(asked.roles, None)
        self.monitor.begin()
        self.losses = losses()
        return m.State()

    def _used(self, asked: m.End) -> m.Answer:
        if self.monitor is None:
            return m.Wrong("nothing is watched")
        observed = self.monitor.end(memory=asked.memory)
        timeouts = losses().since(self.losses)
        return m.Used(observed.usage, observed.threads, observed.stolen, timeouts)

    def _moved(self, asked: m.Halt | m.Resume) -> m.State:
        if asked.roots not in self.stopped:
            self.stopped[asked.roots] = Stoppable(asked.roots)
        group = self.stopped[asked.roots]
        if isinstance(asked, m.Halt):
            group.stop()
        else:
            group.resume()
        return m.State(group.refusal)

    def _round_trip(self, asked: m.RoundTrip) -> m.Took:
        found = {"database": median_ms(database_round_trips(asked.database, LOOK_S))}
        if asked.broker is not None:
            found["broker"] = median_ms(broker_round_trips(asked.broker, LOOK_S))
        return m.Took(found)


def _may_pin(cores: tuple[int, ...]) -> bool:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cores)
    except OSError:
        return False
    os.sched_setaffinity(0, before)
    return True


def _pids(names: tuple[str, ...]) -> list[int]:
    """Return the processes of some names that no other of them started."""
    parents: dict[int, int] = {}
    for process in psutil.process_iter():
        # it may end between two questions, as a connection's process of PostgreSQL does
        with contextlib.suppress(psutil.Error):
            if process.name() in names and _near(process.pid):
                parents[process.pid] = process.ppid()
    return [pid for pid, parent in parents.items() if parent not in parents]


def _near(pid: int) -> bool:
    """Return whether a process is in this one's network namespace, its host's."""
    try:
        return Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()
    except OSError:
        return True


def main() -> int:
    """Answer until standard input ends."""
    agent, lock = Agent(), threading.Lock()

    def say(message: m.Answer) -> None:
        line = msgspec.json.encode(message) + b"\n"
        with lock, contextlib.suppress(OSError):
            while line:
                line = line[os.write(1, line) :]

    def beat() -> None:
        while True:
            say(m.Alive())
            time.sleep(BEAT_S)

    threading.Thread(target=beat, daemon=True).start()
    try:
        for line in sys.stdin.buffer:
            try:
                say(agent.answer(msgspec.json.decode(line, type=m.Question)))
            except Exception as error:
                say(m.Wrong(f"{type(error).__name__}: {error}"))
    finally:
        agent.let_go()
        own = Path(os.environ.get("TMPDIR", ""))
        if own.name.startswith(FOLDER):
            shutil.rmtree(own, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
