"""Which of a run's steps stand: those of a trial that lost a part count for nothing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from asyncdb_bench.records.step import Step, TrialEnd

MOST = 2
"""Losses of a variant in a scenario from which on it is not measured there."""


def not_measured(ends: Iterable[TrialEnd]) -> set[tuple[str, str, str]]:
    """Return purpose, scenario and variant of those that were lost again after a new start."""
    lost = Counter((end.purpose, end.scenario, end.variant) for end in ends if end.lost)
    return {key for key, count in lost.items() if count >= MOST}


def standing(steps: Iterable[Step], ends: Sequence[TrialEnd]) -> list[Step]:
    """Return the steps that stand.

    Parameters
    ----------
    steps : as they were written down.
    ends : of their trials.

    Returns
    -------
    Without the steps of trials that lost a part, of void windows whose trial's end was not
    written, and of variants that lost one twice in the scenario: those are not measured.
    """
    lost = {(end.trial, end.scenario) for end in ends if end.lost}
    out = not_measured(ends)
    return [
        step
        for step in steps
        if (step.trial, step.scenario) not in lost
        and (step.purpose, step.scenario, step.variant) not in out
        and not any(doubt.breaking for doubt in step.reasons)
    ]
