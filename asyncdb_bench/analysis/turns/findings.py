"""All turns of a scenario -> its axes, its limits, and what is said of each variant. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from asyncdb_bench.analysis.turns.answers import (
    Answer,
    Table,
    answer,
    answer_of,
    kinds_of,
    table_of,
)
from asyncdb_bench.analysis.turns.limit_load import LimitLoad, Trying, limit_load
from asyncdb_bench.analysis.turns.nested import Ratio
from asyncdb_bench.analysis.turns.values import AXES, P95, PACE, Axis, Rest, gross_ms, sound
from asyncdb_bench.records.plan import Settings, Variant
from asyncdb_bench.records.step import OPEN_KINDS, Step

CAPACITY = Axis(
    "capacity_rps",
    "capacity",
    "1/s",
    more_is_better=True,
)


@dataclass(frozen=True, slots=True)
class TurnFindings:
    """What the turns of one scenario come to.

    Parameters
    ----------
    tables : by axis name.
    leader : the variant with the best pace; empty: none has one.
    answers : by axis name, each variant beside the leader.
    limits : by variant, the share of its pace at which the objective is lost.
    capacities : by variant, pace times that share: value and bounds, 1/s.
    rest : by variant, what it uses with nothing to do.
    gross_ms : by variant, CPU per request at full speed, idle use included.
    tried : by variant, its turns near the limit.
    blocks, rounds, turns : that all rests on.
    block_s : seconds that a block took.
    """

    tables: Mapping[str, Table]
    leader: str
    answers: Mapping[str, tuple[Answer, ...]]
    limits: Mapping[str, LimitLoad]
    capacities: Mapping[str, tuple[float, float, float]]
    rest: Mapping[str, Rest]
    gross_ms: Mapping[str, float]
    blocks: int
    rounds: int
    turns: int
    block_s: float

    def said(self, axis: str, variant: str) -> Answer | None:
        """Return what is said of a variant beside the leader on an axis, given by its name."""
        return next((each for each in self.answers.get(axis, ()) if each.other == variant), None)

    def smallest(self, axis: Axis, *, same_kind: bool) -> float | None:
        """Return the smallest ratio - 1 that would show between the leader and any other.

        Parameters
        ----------
        axis : of the ratio.
        same_kind : as the leader, or of another; those with a broker stray more.

        Returns
        -------
        The greatest of them; None where none is known.
        """
        kinds = self.tables[PACE.name].kinds
        ratios = [
            each.ratio
            for each in self.answers.get(axis.name, ())
            if (kinds.get(each.other) == kinds.get(self.leader)) == same_kind
        ]
        known = [found for each in ratios if each is not None and (found := each.smallest)]
        return max(known) - 1 if known else None


def findings_of(
    steps: Sequence[Step], variants: Sequence[Variant], settings: Settings, block_s: float
) -> TurnFindings:
    """Return what the turns of one scenario come to.

    Parameters
    ----------
    steps : its turns.
    variants : in the order of the run.
    settings : for what counts as the same.
    block_s : seconds that a block took, for how long more of them would take; 0: not known.
    """
    kinds = kinds_of(variants)
    own = {name: [step for step in steps if step.variant == name] for name in kinds}
    tables = {axis.name: table_of(steps, axis, kinds, kinds) for axis in (*AXES, P95)}
    pace = tables[PACE.name]
    limits = {
        name: limit_load(tried)
        for name, each in own.items()
        if name in pace.values and (tried := tried_by(each))
    }
    leader = pace.best
    answers = {
        axis.name: tuple(
            answer(tables[axis.name], leader, name, settings.equal, settings.half_width)
            for name in tables[axis.name].values
            if name != leader and leader in tables[axis.name].values
        )
        for axis in (*AXES, P95)
    }
    answers[CAPACITY.name] = tuple(_capacity_answers(pace, limits, leader, settings))
    return TurnFindings(
        tables=tables,
        leader=leader,
        answers=answers,
        limits=limits,
        capacities={name: capacity(pace, name, each) for name, each in limits.items()},
        rest={name: Rest.of(each) for name, each in own.items()},
        gross_ms={name: cost for name, each in own.items() if (cost := _gross(each)) is not None},
        blocks=len({step.block for step in steps}),
        rounds=max((step.turn.round + 1 for step in steps if step.turn), default=0),
        turns=len(steps),
        block_s=block_s,
    )


def tried_by(steps: Sequence[Step]) -> list[Trying]:
    """Return what one variant's sound turns at any load say of its limit."""
    return [
        Trying(step.turn.share, step.holds)
        for kind in OPEN_KINDS
        for step in sound(steps, kind)
        if step.turn is not None and step.turn.share
    ]


def capacity(pace: Table, name: str, limit: LimitLoad) -> tuple[float, float, float]:
    """Return a variant's capacity with its bounds: pace times the share at which it is lost.

    Parameters
    ----------
    pace : of all variants.
    name, limit : of the variant.

    Returns
    -------
    Value, low and high, 1/s. The bounds add what is not known of the share to the spread of the
    pace over blocks.
    """
    value = pace.values[name]
    blocks = len(pace.cells[name])
    error = math.hypot(pace.spread_of(name).block / math.sqrt(blocks), limit.log_spread)
    return (
        value * limit.share,
        value * limit.share * math.exp(-1.96 * error),
        value * (limit.share * math.exp(1.96 * error)),
    )


def _capacity_answers(
    pace: Table, limits: Mapping[str, LimitLoad], leader: str, settings: Settings
) -> list[Answer]:
    found = []
    for name, limit in limits.items():
        ratio = pace.ratio(leader, name)
        if name == leader or leader not in limits or ratio is None:
            continue
        mine = limits[leader]
        both: Ratio = replace(
            ratio,
            centre=ratio.centre + math.log(limit.share / mine.share),
            error=math.hypot(ratio.error, limit.log_spread, mine.log_spread),
        )
        found.append(answer_of(CAPACITY, leader, name, both, settings.equal, settings.half_width))
    return found


def _gross(steps: Sequence[Step]) -> float | None:
    costs = [cost for step in sound(steps, "pace") if (cost := gross_ms(step)) is not None]
    return sum(costs) / len(costs) if costs else None
