"""How fast compare, gate and history are on much stored data.

``PYTHONPATH=. .venv/bin/python benchmarks/decide_scale.py``: two runs of 1,000,000 requests each
are compared and gated, and a history of 1,000 nights with 40 series is searched for changes; wall
time and peak memory of each, in a process of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from asyncdb_bench.extensions.history.history_file import History, HistoryPoint, HistoryRun
from asyncdb_bench.records import run_folder as store
from asyncdb_bench.records.step import Percentiles, Step
from tests.factories import manifest, step

REQUESTS = 1_000_000
BLOCKS = 8
LOADS = (100.0, 200.0, 300.0, 400.0, 500.0)
VARIANTS = ("blocking", "executor", "celery", "native")


def write_run(root: Path, run_id: str, slower: float) -> None:
    """Write a run of a million requests, with its tables."""
    rng = np.random.default_rng(len(run_id))
    folder = store.make_run_folder(root, run_id)
    folder.write_manifest(manifest(VARIANTS, run_id=run_id))
    per_step = REQUESTS // (BLOCKS * len(LOADS) * len(VARIANTS))
    for block in range(BLOCKS):
        for variant in VARIANTS:
            for load in LOADS:
                folder.append_step(made_step(rng, variant, block, load, slower))
    latency = rng.integers(2000, 9000, REQUESTS)
    intended = np.arange(REQUESTS, dtype=np.int64) * 2000
    columns = {
        "trial": np.repeat(np.arange(REQUESTS // per_step).astype(str), per_step)[:REQUESTS],
        "step": np.zeros(REQUESTS, np.int16),
        "intended_us": intended,
        "done_us": intended + latency,
    }
    size = min(len(each) for each in columns.values())
    folder.add_rows("requests", {name: each[:size] for name, each in columns.items()})
    folder.flush_rows()
    folder.merge_parts()


def made_step(
    rng: np.random.Generator, variant: str, block: int, load: float, slower: float
) -> Step:
    """Return a step around a p50 of 5 ms."""
    p50 = float(5 * slower * np.exp(rng.normal(0, 0.03)))
    p99 = p50 * 4 if load < 450 else 900.0
    latency = Percentiles(1000, p50, p50, 2 * p50, p99, p99, p99)
    made = step(variant, load, p99=p99, block=block)
    return replace(made, latency=latency, service=latency)


def write_history(root: Path) -> None:
    """Write 1,000 nights of 40 series, a quarter of which change once."""
    rng = np.random.default_rng(1)
    with History(root) as history:
        for night in range(1000):
            points = [
                HistoryPoint("read", f"variant{n}", "p50_ms", float(value), 100.0, 1.03)
                for n, value in enumerate(
                    np.exp(rng.normal(0, 0.03, 40))
                    * np.where((np.arange(40) % 4 == 0) & (night > 600), 6, 5)
                )
            ]
            day = f"20{20 + night // 365:02d}-{1 + night % 12:02d}-01T00:00:00+00:00"
            history.append(HistoryRun(0, f"r{night}", day, f"rev{night}", False, "one"), points)


def timed(*arguments: str) -> None:
    """Run a verb and print its time, its exit code and its peak memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "bench.py", *arguments], capture_output=True, check=False
    )
    took = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    memory = f"{peak / 1024:.0f} MB" if peak > before else f"at most {peak / 1024:.0f} MB"
    print(f"{arguments[0]:8} {took:5.1f} s  {memory}  exit code {ended.returncode}")
    if ended.returncode not in {0, 1, 4}:
        print(ended.stderr.decode())


def main() -> None:
    """Write, then time."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_run(root, "one", 1.0)
        write_run(root, "other", 1.2)
        folders = ("--results", name, "--reports", f"{name}/reports")
        timed("compare", "one", "other", *folders)
        timed("gate", "other", "--against", "one", *folders)
        write_history(root)
        timed("history", *folders)


if __name__ == "__main__":
    main()
