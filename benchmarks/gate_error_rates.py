"""How often the gate errs, and how long it takes: on made-up variants whose truth is known.

``PYTHONPATH=. .venv/bin/python benchmarks/gate_error_rates.py`` (ten minutes) has the gate decide
again and again between a base and a head whose requests take so much longer, with launches and
rounds that stray as given. It prints what the gate said in all, and of the pace alone, and the
median time that measuring would have taken.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from asyncdb_bench.analysis.inference import PACE, Said
from asyncdb_bench.extensions.gate.decision import Rules, pairs_of, said_of_all
from asyncdb_bench.extensions.gate.schedule import GateSchedule
from asyncdb_bench.plan.planner import make_plan
from asyncdb_bench.plan.profiles import read_profiles
from asyncdb_bench.plan.request import Choices
from asyncdb_bench.records.plan import Plan, Trial
from benchmarks.simulated import Simulation, Strays, Truth

SLOWER = (1.0, 1.05, 1.1, 1.2, 1.5)


def planned(seed: int) -> tuple[Plan, list[str]]:
    """Return a plan of head and two copies of base in one scenario, and their labels."""
    plan = make_plan(Choices("gate", "native", "read", seed), read_profiles())
    (head,) = plan.variants
    labels = [head.label, f"{head.label}@base", f"{head.label}@base#2"]
    variants = tuple(replace(head, label=label) for label in labels)
    asked = tuple(each for each in plan.scenarios if not each.aside)
    return replace(plan, variants=variants, scenarios=asked), labels


def decided(slower: float, strays: Strays, budget_s: float) -> tuple[Said, Said, float]:
    """Have the gate decide once.

    Parameters
    ----------
    slower : head's time for a request over base's.
    strays : of launches and rounds.
    budget_s : seconds that measuring may take.

    Returns
    -------
    What it says in all, what of the pace, and the seconds that it took.
    """
    plan, labels = planned(strays.seed)
    head, *base = plan.variants
    schedule = GateSchedule(plan, pairs_of([("native", head, base)], plan.scenarios), Rules(), {})

    def truth(trial: Trial) -> Truth:
        return Truth(service_ms=8.0 * (slower if trial.variant == labels[0] else 1.0))

    run = Simulation(schedule, truth, budget_s=budget_s, strays=strays)
    run.run()
    found = schedule.conclude(run.ends)
    pace = next(each.said for each in found if each.metric is PACE)
    return said_of_all(found), pace, run.now_s


def table(gates: int, strays: Strays, budget_s: float) -> Iterator[str]:
    """Yield a line for each truth."""
    for slower in SLOWER:
        each = [decided(slower, replace(strays, seed=seed), budget_s) for seed in range(gates)]
        whole, pace = Counter(said for said, _, _ in each), Counter(said for _, said, _ in each)
        yield (
            f"{slower:.2f} x   in all: {_shares(whole, gates)};   pace: {_shares(pace, gates)};"
            f"   {statistics.median(seconds for _, _, seconds in each):.0f} s"
        )


def _shares(found: Counter[Said], gates: int) -> str:
    return ", ".join(f"{said} {count / gates:.0%}" for said, count in found.most_common())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gates", type=int, default=100, help="for each truth")
    parser.add_argument("--launch", type=float, default=0.008, help="sd of a launch's logarithm")
    parser.add_argument("--round", type=float, default=0.08, help="sd of a turn's logarithm")
    parser.add_argument("--budget", type=float, default=240, help="seconds of measuring")
    given = parser.parse_args()
    strays = Strays(given.launch, given.round)
    for line in table(given.gates, strays, given.budget):
        print(line, flush=True)


if __name__ == "__main__":
    main()
