"""How long a run takes. Pure."""

from __future__ import annotations

from asyncdb_bench.plan.climbs import climbs, rung_window_s
from asyncdb_bench.records.plan import Plan, PlannedScenario, Settings

SERVICES_S, LAUNCH_S = 12.0, 4.0
"""What set-up and the end take, and what each launch does."""
BETWEEN_S = 0.15
"""What a turn takes beside its window: load before it, and what is under way at its end."""
DEPLOYMENT_S = {False: 18.0, True: 55.0}
"""What it takes to measure a deployment, without and with a broker."""


def estimate_s(plan: Plan) -> float:
    """Estimate a run's seconds at most; 0: it goes on until every answer is known.

    Parameters
    ----------
    plan : with its time budget, which bounds all but the measuring of deployments.
    """
    settings = plan.settings
    after = sum(DEPLOYMENT_S[bool(v.brokers)] for v in plan.variants) * settings.deployment
    turning = [each for each in plan.scenarios if not climbs(settings, each)]
    if settings.time_budget_s:
        return settings.time_budget_s + after
    if turning and not settings.rounds:
        return 0.0
    rounds = settings.blocks * settings.rounds * len(turning)
    turns_s = rounds * len(plan.variants) * (settings.turn_s + BETWEEN_S)
    climbing = [each for each in plan.scenarios if climbs(settings, each)]
    ladders_s = sum(_ladder_s(settings, each) for each in climbing)
    ladders_s *= settings.ladder_blocks * len(plan.variants)
    launches = max(settings.blocks if turning else 1, settings.ladder_blocks if climbing else 1)
    return SERVICES_S + launches * LAUNCH_S + turns_s + ladders_s + after


def _ladder_s(settings: Settings, asked: PlannedScenario) -> float:
    return sum(rung_window_s(settings, asked, rate) + BETWEEN_S for rate in asked.ladder)
