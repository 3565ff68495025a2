"""What it costs to look after each block and to stop where the interval is narrow.

``PYTHONPATH=. .venv/bin/python benchmarks/looks.py`` draws runs of equal variants and stops each as
a run does, then counts how often all intervals hold the truth.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from asyncdb_bench.analysis.turns.nested import Cells, ratio_of, spread_of

EQUAL, HALF_WIDTH, LEAST, MOST, ROUNDS = 0.05, 0.05, 2, 10, 2


def simulate(variants: int, launch: float, round_: float, runs: int) -> tuple[float, float]:
    """Return the share of runs whose intervals all hold 1, and the blocks that they took.

    Parameters
    ----------
    variants : equal ones.
    launch, round_ : standard deviations of a launch's and a round's logarithm.
    runs : how many.
    """
    rng = np.random.default_rng(11)
    held, blocks = 0, 0
    for _ in range(runs):
        launches = rng.normal(0, launch, (variants, MOST, 1))
        logs = launches + rng.normal(0, round_, (variants, MOST, ROUNDS))
        for taken in range(LEAST, MOST + 1):
            known, holds = look(np.exp(logs[:, :taken]))
            if known:
                break
        held += holds
        blocks += taken
    return held / runs, blocks / runs


def look(values: np.ndarray[tuple[int, int, int], np.dtype[np.float64]]) -> tuple[bool, bool]:
    """Return whether all beside the best are known, and whether all intervals hold 1."""
    cells: list[Cells] = [
        {block: dict(enumerate(rounds.tolist())) for block, rounds in enumerate(own)}
        for own in values
    ]
    spread = spread_of(cells)
    best = int(np.argmax(np.log(values).mean(axis=(1, 2))))
    ratios = [
        ratio_of(cells[best], each, spread, len(cells))
        for place, each in enumerate(cells)
        if place != best
    ]
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
    parser.add_argument("--runs", type=int, default=1500)
    runs = parser.parse_args().runs
    print("| variants | launch / round stray by | all intervals hold | blocks, mean |")
    print("|---:|---|---:|---:|")
    for variants in (2, 3, 5):
        for launch, round_ in ((0.01, 0.02), (0.01, 0.04), (0.03, 0.05), (0.05, 0.15)):
            share, blocks = simulate(variants, launch, round_, runs)
            print(f"| {variants} | {launch:.0%} / {round_:.0%} | {share:.1%} | {blocks:.1f} |")


if __name__ == "__main__":
    main()
