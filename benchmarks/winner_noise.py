"""How often equal variants are told apart, and how far spread helps.

``PYTHONPATH=. .venv/bin/python benchmarks/winner_noise.py`` draws capacities of variants that are
all alike and counts the runs in which any is said to fall short of the one that came out best: as
the report ranks them, and with each pair's own spread and degrees of freedom alone.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np
from asyncdb_bench.analysis.capacity import Capacity
from asyncdb_bench.analysis.ranking import ALPHA, rank

from asyncdb_bench.analysis.statistics import geometric_mean, t_bounds


def alarms(spreads: Sequence[float], blocks: int, runs: int) -> tuple[float, float]:
    """Return the share of runs with a false alarm, as ranked, and with each pair's spread alone.

    Parameters
    ----------
    spreads : of each variant's log capacity from block to block.
    blocks, runs : how many.
    """
    rng = np.random.default_rng(5)
    ranked, alone = 0, 0
    pairs = len(spreads) * (len(spreads) - 1) // 2
    for _ in range(runs):
        logs = rng.normal(0, 1, (len(spreads), blocks)) * np.array(spreads)[:, None]
        values = {str(row): np.exp(own) for row, own in enumerate(logs)}
        capacities = {
            name: Capacity(geometric_mean(list(own)), tuple(own), 0, None, open_ended=False)
            for name, own in values.items()
        }
        by_block = {name: dict(enumerate(own)) for name, own in values.items()}
        ranked += not all(each.level for each in rank(capacities, by_block).values())
        gaps = logs - logs[logs.mean(1).argmax()]
        alone += any(
            t_bounds(
                gap.mean(), gap.std(ddof=1) / math.sqrt(blocks), blocks - 1, 1 - ALPHA / pairs
            )[1]
            < 0
            for gap in gaps
            if gap.any()
        )
    return ranked / runs, alone / runs


def main() -> None:
    """Print a line per number of blocks and kind of noise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    kinds = {
        "two, 10 % each": [0.1] * 2,
        "five, 10 % each": [0.1] * 5,
        "four of 2 %, one of 30 %": [0.02] * 4 + [0.3],
        "four of 10 %, one of 2 %": [0.1] * 4 + [0.02],
    }
    for blocks in (3, 5):
        for kind, spreads in kinds.items():
            ranked, alone = alarms(spreads, blocks, runs)
            print(f"{blocks} blocks, {kind}: {ranked:.1%}; each pair by itself {alone:.1%}")


if __name__ == "__main__":
    main()
