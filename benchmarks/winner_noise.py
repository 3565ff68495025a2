"""How often equal variants are told apart, by what the interval is corrected for.

``.venv/bin/python benchmarks/winner_noise.py`` draws capacities of variants that are all alike and
counts the runs in which any of them is said to fall short of the one that came out best.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from asyncdb_bench.ranking import ALPHA
from asyncdb_bench.stats import t_bounds


def alarms(variants: int, blocks: int, alpha: float, runs: int) -> float:
    """Return the share of runs with a false alarm; block to block a capacity varies by 10 %."""
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(runs):
        logs = rng.normal(0, 0.1, (variants, blocks))
        gaps = logs - logs[logs.mean(1).argmax()]
        errors = gaps.std(axis=1, ddof=1) / math.sqrt(blocks)
        found += any(
            t_bounds(gap, error, blocks - 1, 1 - alpha)[1] < 0
            for gap, error in zip(gaps.mean(1), errors, strict=True)
            if error > 0
        )
    return found / runs


def main() -> None:
    """Print a line per number of blocks and variants."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=4000)
    runs = parser.parse_args().runs
    for blocks in (3, 5):
        for variants in (2, 4, 6):
            others, pairs = variants - 1, variants * (variants - 1) // 2
            print(
                f"{blocks} blocks, {variants} variants: for the others"
                f" {alarms(variants, blocks, ALPHA / others, runs):.1%}, for all pairs"
                f" {alarms(variants, blocks, ALPHA / pairs, runs):.1%}"
            )


if __name__ == "__main__":
    main()
