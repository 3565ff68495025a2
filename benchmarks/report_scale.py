"""How long the report of a large run takes, and how much memory.

``.venv/bin/python benchmarks/report_scale.py --requests 1000000`` writes a run of that size with
made-up figures into a temporary folder, in parts as a run does, then has
`bench.py report` merge and read it in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from asyncdb_bench.records import run_folder as store
from tests import factories

VARIANTS = ("blocking", "executor", "celery", "celery_aio", "native")
LOADS = (100, 200, 400, 600, 800, 1000)
BLOCKS = 4


def make_run(root: Path, requests: int) -> store.RunFolder:
    """Write a run with as many requests, spread over variants, blocks and loads."""
    made = factories.manifest(VARIANTS)
    folder = store.make_run_folder(root, made.run_id)
    folder.write_manifest(made)
    rng = np.random.default_rng(1)
    count = requests // (len(VARIANTS) * len(LOADS) * BLOCKS)
    for variant in VARIANTS:
        for block in range(BLOCKS):
            for number, load in enumerate(LOADS):
                trial = f"{variant}-read-{block}"
                folder.add_rows("series", _series(trial, number, rng))
                step = factories.step(
                    variant, load, block=block, step=number, p99=20 if load < 800 else 300
                )
                folder.append_step(step)
                intended = np.sort(rng.integers(0, 10_000_000, count))
                folder.add_rows(
                    "requests",
                    {
                        "trial": [trial] * count,
                        "step": np.full(count, number, np.int16),
                        "operation": ["read"] * count,
                        "intended_us": intended,
                        "sent_us": intended + 200,
                        "done_us": intended + rng.gamma(2, 5000, count).astype(np.int64),
                        "status": np.full(count, 200, np.int16),
                        "outcome": np.ones(count, np.int8),
                    },
                )
    folder.flush_rows()
    return folder


def _series(trial: str, number: int, rng: np.random.Generator) -> dict[str, object]:
    """Return ten seconds of what is watched, as often as a real run does."""
    every_us = {"loop_lag_us": 50_000, "probe_us": 50_000, "waiting": 20_000, "oldest_us": 20_000}
    at = {name: np.arange(0, 10_000_000, step) for name, step in every_us.items()}
    rows = sum(map(len, at.values()))
    return {
        "trial": [trial] * rows,
        "step": np.full(rows, number, np.int16),
        "at_us": np.concatenate(list(at.values())),
        "name": [name for name, each in at.items() for _ in each],
        "value": rng.gamma(2, 500, rows),
    }


def main() -> None:
    """Make a run, report it, print seconds and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = make_run(root / "results", options.requests)
        began = time.monotonic()
        command = [sys.executable, "bench.py", "report", folder.run_id]
        command += ["--results", str(root / "results"), "--reports", str(root / "reports")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        # kilobytes on Linux, bytes on macOS
        unit = 1e3 if sys.platform == "linux" else 1e6
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
        size_mb = (folder.path / "requests.parquet").stat().st_size / 1e6
        page_kb = (root / "reports" / folder.run_id / "index.html").stat().st_size / 1e3
        print(
            f"{options.requests:,} requests ({size_mb:.0f} MB of Parquet): {seconds:.1f} s,"
            f" {peak_mb:.0f} MB at most, page {page_kb:.0f} kB"
        )


if __name__ == "__main__":
    main()
