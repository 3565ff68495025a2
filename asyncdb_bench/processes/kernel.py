"""What the kernel says of processes: CPU time, memory, context switches, bytes on loopback."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

PROC = Path("/proc")
UTIME = 11
"""Place of the user time among the fields of ``stat`` after the command's name."""


def tree(pids: list[int]) -> list[psutil.Process]:
    """Return the living processes of some trees."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(pid)
            found += [root, *root.children(recursive=True)]
    return found


def own_start_s() -> float:
    """Return when this process was started, monotonic seconds."""
    return time.monotonic() - (time.time() - psutil.Process().create_time())


def descendants(pids: Iterable[int]) -> list[int]:
    """Return some processes and all that descend from them, parents first.

    From ``/proc/<pid>/task/<tid>/children`` (proc(5)), which names the children of one process at
    once, where a walk over all processes of the machine would take tens of milliseconds; by that
    walk where the kernel keeps no such file.
    """
    found = list(dict.fromkeys(pids))
    if not (PROC / "self" / "task" / str(os.getpid()) / "children").exists():
        return [each.pid for each in tree(found)]
    for pid in found:
        found += [child for child in children(pid) if child not in found]
    return found


def children(pid: int) -> list[int]:
    """Return the children of a process; empty where the kernel does not tell."""
    return [int(each) for task in _tasks(pid) for each in _read(task / "children").split()]


def run_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds that the living threads of some processes have used.

    By the scheduler's own account, in nanoseconds, where there is one: ``stat`` counts in ticks of
    10 ms, a hundredth of a turn. A thread that ends takes its account with it.
    """
    return sum(run.cpu_s for pid in pids for run in threads(pid).values())


def main_threads_run_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds of the first thread of each of some processes; see :func:`run_s`.

    All there is of processes with one thread, PostgreSQL's, and a third of the work.
    """
    accounts = (_read(PROC / str(pid) / "schedstat").split() for pid in pids)
    return sum(int(account[0]) / 1e9 for account in accounts if account)


def memory_mb(pids: list[int]) -> tuple[float, float | None]:
    """Return the memory of some trees in MB.

    Returns
    -------
    Resident size (a page shared by several processes counts in each), and proportional size (it
    is shared out among them), None where the kernel does not tell.
    """
    rss, pss = 0, 0
    for process in tree(pids):
        with contextlib.suppress(psutil.Error):
            rss += process.memory_info().rss
            pss += getattr(process.memory_full_info(), "pss", 0)
    return rss / 1e6, pss / 1e6 if pss else None


def switches_of(pids: Iterable[int]) -> int | None:
    """Return the context switches of all threads of some processes; None where it is not told.

    psutil reads those of the first thread alone.
    """
    total, told = 0, False
    for pid in pids:
        for task in _tasks(pid):
            for line in _read(task / "status").splitlines():
                if "ctxt_switches:" in line:
                    total += int(line.rpartition(":")[2])
                    told = True
    return total if told else None


def ticks_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds of some processes by their own accounts, in ticks of some 10 ms."""
    return sum(_ticks_s(PROC / str(pid)) or 0.0 for pid in pids)


def stat_fields(folder: Path) -> list[str]:
    """Return the fields of ``stat`` after the command's name (proc(5)); empty where it has gone."""
    return _read(folder / "stat").rpartition(")")[2].split()


def _ticks_s(folder: Path) -> float | None:
    used = stat_fields(folder)[UTIME : UTIME + 2]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK") if used else None


class Run(NamedTuple):
    """A thread's account with the scheduler, seconds: running, and waiting for a core.

    `waited_s` is None where the kernel keeps no such account.
    """

    cpu_s: float
    waited_s: float | None


def threads(pid: int) -> dict[int, Run]:
    """Return the account of each thread of a process; empty where the kernel does not tell.

    From ``/proc/<pid>/task/<tid>/schedstat`` (Documentation/scheduler/sched-stats) where there is
    one, else from ``stat``, in ticks of some 10 ms (proc(5)).
    """
    found = {}
    for task in _tasks(pid):
        account = _read(task / "schedstat").split()
        if len(account) >= 2:
            found[int(task.name)] = Run(int(account[0]) / 1e9, int(account[1]) / 1e9)
            continue
        if (used := _ticks_s(task)) is not None:
            found[int(task.name)] = Run(used, None)
    return found


def stolen() -> tuple[float, float]:
    """Return the seconds that a hypervisor took from this machine, and those that it asked for.

    Asked for is what was used and what was stolen, of all cores (proc(5), ``steal``).
    """
    times = psutil.cpu_times()
    steal = float(getattr(times, "steal", 0.0))
    return steal, steal + sum(
        float(getattr(times, name, 0.0)) for name in ("user", "nice", "system", "irq", "softirq")
    )


def used_s() -> float:
    """Return the CPU seconds that all processes of this machine have used."""
    taken, asked = stolen()
    return asked - taken


def stolen_share(before: tuple[float, float]) -> float:
    """Return the share of the CPU time asked for that was stolen since :func:`stolen` said so."""
    (taken, asked), (taken_before, asked_before) = stolen(), before
    return (taken - taken_before) / (asked - asked_before) if asked > asked_before else 0.0


def loopback_bytes() -> int | None:
    """Return the bytes that have passed the loopback interface, of all processes."""
    counters = psutil.net_io_counters(pernic=True).get("lo")
    return counters.bytes_sent if counters else None


def _tasks(pid: int) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (PROC / str(pid) / "task").iterdir()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
