"""What it costs to look again and again, and to stop where the interval is narrow.

``PYTHONPATH=. .venv/bin/python benchmarks/looks.py`` draws runs of equal variants, of one launch
and of three, and stops each as a run does, then counts how often all intervals hold the truth.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from asyncdb_bench.analysis.inference import PACE, Cells, prior_of
from asyncdb_bench.analysis.metric_table import Table

EQUAL, HALF_WIDTH, LEAST, MOST, EVERY = 0.05, 0.03, 4, 60, 2


def simulate(
    variants: int, launches: int, launch: float, round_: float, runs: int
) -> tuple[float, float]:
    """Return the share of runs whose intervals all hold 1, and the rounds that they took.

    Parameters
    ----------
    variants : equal ones.
    launches : of each run, which its rounds are shared among.
    launch, round_ : standard deviations of a launch's and a round's logarithm.
    runs : how many.
    """
    rng = np.random.default_rng(11)
    held, rounds = 0, 0
    for _ in range(runs):
        each = MOST // launches
        logs = rng.normal(0, launch, (variants, launches, 1))
        logs = logs + rng.normal(0, round_, (variants, launches, each))
        for taken in range(LEAST, MOST + 1, EVERY):
            known, holds = look(logs, taken, each)
            if known and taken > MOST - each:
                break
        held += holds
        rounds += taken
    return held / runs, rounds / runs


def look(
    logs: np.ndarray[tuple[int, int, int], np.dtype[np.float64]], taken: int, each: int
) -> tuple[bool, bool]:
    """Return whether all beside the best are known, and whether all intervals hold 1."""
    cells: dict[str, Cells] = {
        str(place): {
            launch: dict(enumerate(np.exp(values[: max(0, taken - launch * each)]).tolist()))
            for launch, values in enumerate(own)
            if taken > launch * each
        }
        for place, own in enumerate(logs)
    }
    table = Table(PACE, cells)
    ratios = [table.ratio(table.best, name) for name in cells if name != table.best]
    known = all(
        ratio is not None and (ratio.half_width <= math.log1p(HALF_WIDTH) or ratio.within <= EQUAL)
        for ratio in ratios
    )
    # the best is the farthest from all others, so its intervals decide for all pairs
    holds = all(ratio is not None and abs(ratio.centre) <= ratio.half_width for ratio in ratios)
    return known, holds


def main() -> None:
    """Print a line for each number of variants and each noise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    prior = prior_of(PACE, with_broker=False, seen={})
    print(f"a launch strays by {prior.sd:.1%} before a run's own are looked at")
    print("| variants | launches | launch / round stray by | all intervals hold | rounds, mean |")
    print("|---:|---:|---|---:|---:|")
    for variants in (2, 3, 5):
        for launches in (1, 3):
            for launch, round_ in ((0.004, 0.03), (0.008, 0.05), (0.012, 0.1), (0.008, 0.25)):
                share, rounds = simulate(variants, launches, launch, round_, runs)
                print(
                    f"| {variants} | {launches} | {launch:.1%} / {round_:.0%} | {share:.1%} |"
                    f" {rounds:.1f} |"
                )


if __name__ == "__main__":
    main()
