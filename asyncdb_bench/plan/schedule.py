"""The order of trials, their windows, and how long they take. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from asyncdb_bench.records.plan import Plan, PlannedScenario, Settings, Trial, Variant

START_S = 3.5
"""What a trial costs beside its steps: database copy, processes, pools (measured: 1 to 4 s)."""


SERVICES_S = 12.0
LAUNCH_S, BLOCK_S, TURN_OVERHEAD_S = 0.8, 2.0, 0.4
"""What a block of turns costs beside its windows: for each variant, once, and for each turn."""


STEP_OVERHEAD_S = 0.35


DEPLOYMENT_S = {False: 18.0, True: 55.0}
"""What it takes to measure a deployment, without and with a broker."""


def order(
    variants: Sequence[Variant], scenarios: Sequence[PlannedScenario], blocks: int, seed: int
) -> tuple[Trial, ...]:
    """Order the trials: blocks of scenarios of variants, the variants shuffled in each.

    Drift of the machine then falls on all variants alike, and no variant always follows the same
    other one.
    """
    shuffler = random.Random(seed)
    trials: list[Trial] = []
    for block in range(blocks):
        for scenario in scenarios:
            for variant in shuffler.sample(list(variants), len(variants)):
                name = f"t{len(trials):03d}"
                trials.append(Trial(name, block, variant.label, scenario.label))
    return tuple(trials)


def takes_turns(settings: Settings, asked: PlannedScenario) -> bool:
    """Return whether a scenario is measured in turns.

    A load whose rate changes during a step, and a chat whose members stay in their rooms, last
    longer than a turn; a map's cells are many, and each is asked little. They climb their ladders.
    """
    return not (settings.ladder or asked.shape or asked.websocket or asked.cell)


def window_of(settings: Settings, asked: PlannedScenario, rate_rps: float) -> float:
    """Return a step's window in seconds: long enough for the arrivals wanted, within bounds.

    Where the scenario has a shape, that says how long it is.
    """
    if asked.shape:
        return sum(each.seconds for each in asked.shape)
    wanted = settings.min_arrivals / rate_rps
    return min(max(settings.window_s, wanted), max(settings.window_max_s, settings.window_s))


def trial_seconds(settings: Settings, asked: PlannedScenario) -> float:
    """Estimate the seconds of a trial that climbs its whole ladder."""
    steps = sum(window_of(settings, asked, rate) + STEP_OVERHEAD_S for rate in asked.ladder)
    return START_S + settings.warmup_s + steps + settings.drain_s


def estimate_s(plan: Plan) -> float:
    """Estimate a run's seconds at most; ladders end earlier where a variant saturates."""
    asked = {each.label: each for each in plan.scenarios}
    blocks = Counter(
        (t.scenario, t.block) for t in plan.trials if takes_turns(plan.settings, asked[t.scenario])
    )
    full = SERVICES_S + sum(
        trial_seconds(plan.settings, asked[t.scenario])
        for t in plan.trials
        if (t.scenario, t.block) not in blocks
    )
    full += sum(block_s(plan.settings, count, ("pace", "common")) for count in blocks.values())
    limit = plan.settings.time_budget_s
    after = sum(DEPLOYMENT_S[bool(v.brokers)] for v in plan.variants) * plan.settings.deployment
    return (min(full, limit) if limit else full) + after


def block_s(settings: Settings, variants: int, kinds: Sequence[str]) -> float:
    """Estimate the seconds of a block of turns.

    Parameters
    ----------
    settings : for turns and rounds.
    variants : that take turns.
    kinds : of turns in each round, the pace among them: one more is taken beside it.
    """
    in_round = 1 + any(kind != "pace" for kind in kinds)
    turn_s = settings.turn_s + TURN_OVERHEAD_S
    turns_s = settings.rounds * in_round * turn_s + settings.turn_s
    return BLOCK_S + variants * (LAUNCH_S + settings.warmup_s + turns_s)


def trial_share_s(left_s: float, trials_left: int) -> float:
    """Return the seconds that the next trial may take of what is left of the budget.

    A trial may take half as much again as its even share: those that saturate early leave time to
    the others.
    """
    even = left_s / max(trials_left, 1)
    return min(1.5 * even, left_s - (trials_left - 1) * START_S)
