"""What the 1 ms heartbeat costs an idle loop: CPU share with it and without.

``PYTHONPATH=. .venv/bin/python benchmarks/heartbeat_cost.py``
"""

from __future__ import annotations

import asyncio
import statistics
import time

from asyncdb_bench.records.step import HEARTBEAT_US
from asyncdb_bench_attach.application import Beating

SECONDS = 2.0
ROUNDS = 5


async def idle(*, beating: bool) -> float:
    """Return the share of a core that an idle loop uses."""
    if beating:
        Beating(dict, 0, HEARTBEAT_US).start()
    before = time.process_time()
    await asyncio.sleep(SECONDS)
    return (time.process_time() - before) / SECONDS


def main() -> None:
    """Measure both, in turn, and print medians."""
    pairs = [
        (asyncio.run(idle(beating=True)), asyncio.run(idle(beating=False))) for _ in range(ROUNDS)
    ]
    beating, silent = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"an idle loop uses {beating:.1%} of a core with the heartbeat, {silent:.1%} without")


if __name__ == "__main__":
    main()
