"""How sharp and how fast whole runs are, beside another build's, in alternation.

Both builds are asked the same by their own command line, on this machine, one after the other, so
many times each. The other build is a checkout with an environment of its own::

    git worktree add ../base 76d0a40 && make -C ../base setup
    python benchmarks/beside_other_build.py ../base -- run --strategy native,executor,blocking \
        --scenario read --time-budget 90
    python benchmarks/beside_other_build.py ../base --busy -- run

Prints for each run its wall time, the share of it that was windows, and by ways without and with a
broker the widest half-width of a pace beside the leader's, as a percentage: half the logarithm of
high over low. ``--busy`` has two processes on each core spin meanwhile.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.many_launches import busy

HERE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Sharpness:
    """What one run came to.

    Parameters
    ----------
    wall_s : of the whole command.
    windows : share of it that was measured windows.
    widest : half-widths of pace ratios, by whether the way has a broker; infinite: not known.
    """

    wall_s: float
    windows: float
    widest: dict[bool, float]

    def in_words(self) -> str:
        """Return one line."""
        widths = ", ".join(
            f"{'with' if broker else 'without'} a broker ±{100 * width:.1f} %"
            for broker, width in sorted(self.widest.items())
        )
        return f"{self.wall_s:5.0f} s, {100 * self.windows:2.0f} % windows, {widths or 'no answer'}"


def pace_bounds(row: dict[str, Any]) -> tuple[float, float] | None:
    """Return the interval of a row's pace beside the leader's; None: it is not known.

    Parameters
    ----------
    row : of summary.json, version 6 or 7.
    """
    pace = _pace(row)
    if pace.get("low") and pace.get("high"):
        return float(pace["low"]), float(pace["high"])
    return None


def _pace(row: dict[str, Any]) -> dict[str, Any]:
    return (row.get("beside_leader") or {}).get("pace_rps") or {}


def sharpness_of(folder: Path, wall_s: float) -> Sharpness:
    """Return what a run's files say.

    Parameters
    ----------
    folder : under results.
    wall_s : of the command.
    """
    rows = json.loads((folder / "summary.json").read_text())
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    widest: dict[bool, float] = {}
    for row in rows:
        same = [each for each in rows if each["scenario"] == row["scenario"]]
        leaders = {_pace(each).get("leader") for each in same}
        # cells of the map and other distances stand beside: no answer rests on them
        if row["variant"] in leaders or "map" in row["scenario"] or "rtt=" in row["scenario"]:
            continue
        bounds = pace_bounds(row)
        width = math.log(bounds[1] / bounds[0]) / 2 if bounds is not None else math.inf
        broker = row["strategy"].startswith("celery")
        widest[broker] = max(widest.get(broker, 0.0), width)
    windows_s = sum(step.get("window_s", 0.0) for step in steps)
    return Sharpness(wall_s, windows_s / wall_s, widest)


def run_once(checkout: Path, words: list[str], log: Path) -> Sharpness:
    """Run a build once and return what it came to.

    Parameters
    ----------
    checkout : with ``.venv``.
    words : for its bench.py.
    log : what it printed.
    """
    began = time.monotonic()
    command = [str(checkout / ".venv/bin/python"), "bench.py", *words]
    with log.open("w") as file:
        subprocess.run(command, cwd=checkout, stdout=file, stderr=subprocess.STDOUT, check=False)
    return sharpness_of(checkout / "results" / "latest", time.monotonic() - began)


def main() -> None:
    """Run both builds in alternation, and print what each run came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--times", type=int, default=3, help="of each build")
    parser.add_argument("--busy", action="store_true", help="two busy processes on each core")
    parser.add_argument("words", nargs="+", help="for bench.py, after --")
    given = parser.parse_args()
    builds = {"this build": HERE, "the other": given.other.resolve()}
    logs = HERE / "results" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with busy(0.0, 1, everywhere=2 if given.busy else 0):
        for turn in range(given.times):
            for name, checkout in builds.items():
                words = [*given.words, "--seed", str(turn + 1)]
                log = logs / f"beside-{name.split()[-1]}-{turn}.txt"
                print(f"{name:11} {run_once(checkout, words, log).in_words()}", flush=True)


if __name__ == "__main__":
    main()
