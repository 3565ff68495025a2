"""How long a host takes to be reached and left, and its agent to answer, without a network between.

``PYTHONPATH=. .venv/bin/python benchmarks/host_questions.py`` reaches this machine as if it were
another.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from asyncdb_bench.extensions.hosts import agent_messages as m
from asyncdb_bench.extensions.hosts.reached import ReachedHost
from asyncdb_bench.records.plan import Host

TIMES = 50


def main() -> None:
    """Reach, ask, leave; print medians."""
    with tempfile.TemporaryDirectory() as folder:
        where = Host("here", ("application",), "127.0.0.1", "command", sys.executable)
        host = ReachedHost(where, Path(folder))
        began = time.monotonic()
        host.open()
        print(f"reached: {time.monotonic() - began:.2f} s")
        processes = [subprocess.Popen(["sleep", "100"]) for _ in range(2)]
        roots = tuple(each.pid for each in processes)
        try:
            for question, answer in (
                (m.Tick(), m.Tock),
                (m.Halt(roots), m.State),
                (m.Resume(roots), m.State),
                (m.Begin({"app": list(roots)}), m.State),
                (m.End(memory=False), m.Used),
            ):
                took = []
                for _ in range(TIMES):
                    asked = time.perf_counter()
                    host.ask(question, answer)
                    took.append((time.perf_counter() - asked) * 1000)
                name = type(question).__name__
                print(f"{name}: {statistics.median(took):.2f} ms, {max(took):.1f} ms at most")
        finally:
            for each in processes:
                each.kill()
                each.wait()
            host.close()


if __name__ == "__main__":
    main()
