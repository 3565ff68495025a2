"""Steps -> each metric's values by variant, launch and round, and how far they may be off. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asyncdb_bench.analysis.inference import (
    CAPACITY,
    CPU,
    FREEZE,
    GOODPUT,
    PACE,
    Cells,
    Metric,
    Slack,
)
from asyncdb_bench.analysis.step.histogram import Counts, merged, quantile_ms
from asyncdb_bench.records.doubts import DoubtKind
from asyncdb_bench.records.plan import TurnKind
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


OWN_ROLES = ("app", "workers", "broker")
"""Roles whose CPU time a variant is charged with: what it needs beside the database."""
ANSWERED_S = 0.05
"""A turn's accounts begin so much before its load, and end after its last answer."""


def sound(steps: Iterable[Step], kind: TurnKind) -> list[Step]:
    """Return the turns of one kind that were measured soundly."""
    return [step for step in steps if step.turn.kind == kind and step.valid]


LONGEST_PACE_S = 2.0
"""Window of a turn at full speed, at most."""
FEWEST_COMPLETIONS = 3
"""In a window at full speed, unless it is as long as it may be: fewer say nothing of a pace. It
happens in a first window, as long as nobody knows how slow a variant is."""


def tells_pace(step: Step) -> bool:
    """Return whether a turn at full speed was long enough to say what a variant does."""
    completions = step.achieved_rps * step.window_s
    long_enough = step.window_s >= LONGEST_PACE_S or completions >= FEWEST_COMPLETIONS - 0.5
    return step.achieved_rps > 0 and long_enough


@dataclass(frozen=True, slots=True)
class Rest:
    """What a variant uses with nothing to do.

    Parameters
    ----------
    beat_s : CPU seconds of the application for each heartbeat: a busy loop has fewer.
    other : of workers and broker, CPU seconds a second.
    app : of the application, CPU seconds a second.
    """

    beat_s: float = 0.0
    other: float = 0.0
    app: float = 0.0

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Rest:
        """Return the use of one variant's turns at rest; nothing where there are none.

        Parameters
        ----------
        steps : all of the variant's turns in a launch. What workers and broker use at rest is no
            more than in any turn at full speed: more is something else, such as the rest of a
            start.
        """
        steps = list(steps)
        idle, busy = sound(steps, "idle"), sound(steps, "pace")
        seconds = sum(step.lasted_s for step in idle)
        if not seconds:
            return cls()
        app = sum(_used_s(step, OWN_ROLES[:1]) for step in idle)
        beats = sum(step.turn.beats for step in idle)
        other = sum(_used_s(step, OWN_ROLES[1:]) for step in idle) / seconds
        least = min(
            (_used_s(e, OWN_ROLES[1:]) / (e.lasted_s + ANSWERED_S) for e in busy), default=other
        )
        return cls(app / beats if beats else 0.0, min(other, least), app / seconds)

    @property
    def busy(self) -> float:
        """Share of a core that is used at rest, by all of its processes."""
        return self.app + self.other


def gross_ms(step: Step) -> float | None:
    """Return the CPU time per right answer of application, workers and broker, milliseconds."""
    if not step.ledger.ok:
        return None
    return _used_s(step, OWN_ROLES) * 1000 / step.ledger.ok


def net_ms(step: Step, rest: Rest) -> float | None:
    """Return the same without what the variant uses at rest."""
    gross = gross_ms(step)
    if gross is None:
        return None
    seconds = step.lasted_s + ANSWERED_S
    idle_s = rest.beat_s * step.turn.beats + rest.other * seconds
    return gross - idle_s * 1000 / step.ledger.ok


def _used_s(step: Step, roles: Iterable[str]) -> float:
    """Return the CPU seconds that some roles used in a turn."""
    return sum(step.usage[role].cpu_s for role in roles if role in step.usage)


TAIL = 2.5
"""Requests beyond a percentile that a batch of rounds has at least: of fewer it is the maximum."""
FASTER = math.log(10)
"""How much faster a variant may be whose pace was limited by the client or by the delay proxy: what
it would do without cannot be told, so that the bound is one that nothing reaches."""


@dataclass(frozen=True, slots=True)
class Values:
    """One metric's values.

    Parameters
    ----------
    metric : which.
    cells : by variant; with the metric's floor added.
    slack : by variant, how far they may be off in the same direction; none where they are not.
    """

    metric: Metric
    cells: Mapping[str, Cells]
    slack: Mapping[str, Slack] = field(default_factory=dict)


def values_of(steps: Sequence[Step], metric: Metric, variants: Iterable[str]) -> Values:
    """Return a metric's values, of the variants that have any.

    Parameters
    ----------
    steps : turns of one scenario.
    metric : pace and CPU come from the turns at full speed and have a value for each round;
        percentiles from those at the load common to all, in batches of rounds.
    variants : labels, in the order of the run.
    """
    own = {name: [step for step in steps if step.variant == name] for name in variants}
    if metric.quantile:
        found = _quantiles(own, metric)
    else:
        read = {CPU: _costs, GOODPUT: _goodputs}.get(metric, _paces)
        found = {name: _by_launch(each, read) for name, each in own.items()}
    slack = {
        name: each for name, turns in own.items() if (each := _slack(turns, metric)) != Slack()
    }
    return Values(metric, {name: cells for name, cells in found.items() if cells}, slack)


def _by_launch(
    steps: Sequence[Step], read: Callable[[Sequence[Step]], dict[int, float]]
) -> dict[int, dict[int, float]]:
    launches = sorted({step.block for step in steps})
    found = {each: read([step for step in steps if step.block == each]) for each in launches}
    return {launch: rounds for launch, rounds in found.items() if rounds}


def _paces(launch: Sequence[Step]) -> dict[int, float]:
    return {
        step.turn.round: step.achieved_rps for step in sound(launch, "pace") if tells_pace(step)
    }


def _costs(launch: Sequence[Step]) -> dict[int, float]:
    rest = Rest.of(launch)
    return {
        step.turn.round: cost
        for step in sound(launch, "pace")
        if tells_pace(step) and (cost := net_ms(step, rest)) is not None and cost > 0
    }


def _goodputs(launch: Sequence[Step]) -> dict[int, float]:
    return {
        step.turn.round: step.overload.share + GOODPUT.floor
        for step in sound(launch, "overload")
        if step.overload is not None
    }


def _counts(step: Step, metric: Metric) -> Counts:
    return step.lag_counts if metric is FREEZE else step.latency_counts


def _quantiles(own: Mapping[str, Sequence[Step]], metric: Metric) -> dict[str, Cells]:
    """Return a percentile by launch and batch of rounds.

    A percentile of one round's few requests is about their maximum, so that rounds are put together
    to batches, the same ones for all variants. Their values are moved so that their mean is the
    percentile of all requests of the launch: the batches say how it strays, not what it is
    (sectioning; Asmussen and Glynn, *Stochastic Simulation*, III.5).
    """
    turns = {name: sound(each, "common") for name, each in own.items()}
    found: dict[str, dict[int, dict[int, float]]] = {name: {} for name in own}
    for launch in sorted({step.block for each in turns.values() for step in each}):
        here = {
            name: {step.turn.round: _counts(step, metric) for step in each if step.block == launch}
            for name, each in turns.items()
        }
        batches = _batches([each for each in here.values() if each], metric.quantile)
        for name, rounds in here.items():
            if rounds and (values := _batch_values(rounds, batches, metric)):
                found[name][launch] = values
    return {name: cells for name, cells in found.items() if cells}


def _batches(launch: Sequence[Mapping[int, Counts]], level: float) -> list[list[int]]:
    """Return the rounds in batches in which each variant has enough requests; one: all together."""
    rounds = sorted({number for each in launch for number in each})
    needed = TAIL / (1 - level)
    batches: list[list[int]] = [[]]
    for number in rounds:
        batches[-1].append(number)
        least = min(
            sum(count for r in batches[-1] for _, count in each.get(r, ())) for each in launch
        )
        if least >= needed:
            batches.append([])
    rest = batches.pop()
    if batches and rest:
        batches[-1] += rest
    return batches or [rest]


def _batch_values(
    rounds: Mapping[int, Counts], batches: Sequence[Sequence[int]], metric: Metric
) -> dict[int, float]:
    whole = quantile_ms(merged(rounds.values()), metric.quantile)
    if whole is None:
        return {}
    values = {
        place: value + metric.floor
        for place, batch in enumerate(batches)
        if (value := quantile_ms(merged(rounds[r] for r in batch if r in rounds), metric.quantile))
        is not None
    }
    if len(values) < 2:
        return {0: whole + metric.floor}
    logs = {place: math.log(value) for place, value in values.items()}
    shift = math.log(whole + metric.floor) - sum(logs.values()) / len(logs)
    return {place: math.exp(value + shift) for place, value in logs.items()}


def _slack(steps: Sequence[Step], metric: Metric) -> Slack:
    """Return how far one variant's values may be off by what its turns are in doubt for.

    Where nobody counted connections and transactions, a variant may have had any number of them.
    """
    if any(note.kind is DoubtKind.UNWATCHED for step in steps for note in step.notes):
        return Slack(FASTER, FASTER, doubt=True)
    if metric in (PACE, CAPACITY):
        turns = sound(steps, "pace")
        limited = [
            step
            for step in turns
            if any(d.kind in (DoubtKind.CLIENT_BUSY, DoubtKind.DELAY_BUSY) for d in step.doubts)
        ]
        return Slack(0.0, FASTER * len(limited) / len(turns), doubt=True) if limited else Slack()
    if not metric.quantile or metric is FREEZE:
        return Slack()
    turns = sound(steps, "common")
    if not any(step.doubts for step in turns):
        return Slack()
    down = _late(turns, metric)
    load = max((_of_load(step) for step in turns), default=0.0)
    return Slack(down + load, load, doubt=True)


def _late(turns: Sequence[Step], metric: Metric) -> float:
    """Return by how much less a percentile may be where the client sent late: as from the send."""
    late = {
        (step.trial, step.step)
        for step in turns
        if any(d.kind in (DoubtKind.SEND_LAG, DoubtKind.STARTS_APART) for d in step.doubts)
    }
    if not late:
        return 0.0
    high = quantile_ms(merged(step.latency_counts for step in turns), metric.quantile)
    low = quantile_ms(
        merged(
            step.service_counts if (step.trial, step.step) in late else step.latency_counts
            for step in turns
        ),
        metric.quantile,
    )
    return max(0.0, math.log(high / low)) if high and low else 0.0


def _of_load(step: Step) -> float:
    """Return by how much a latency may differ since another load was offered than was asked for.

    At a share s of the pace a queue's latency grows by s / (1 - s) for each share that the load
    grows by (of 1 / (1 - s); Kleinrock, *Queueing Systems* I, 3.2).
    """
    share = min(step.turn.share or 0.0, 0.9)
    return max(
        (
            abs((doubt.measured or 0.0) / doubt.low - 1) * share / (1 - share)
            for doubt in step.doubts
            if doubt.kind is DoubtKind.ARRIVALS and doubt.low
        ),
        default=0.0,
    )
