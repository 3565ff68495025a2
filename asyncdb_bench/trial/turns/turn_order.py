"""Which turn is next in a block, and at which load. Pure: it is told what came of the one before.

In each round every variant has a turn at full speed, since that tells most in a second, and one at
a load: the common one, its limit, the common one again, a share of its pace. A kind goes round all
variants before the next begins, so that what is compared lies within seconds; kinds and variants
are in random order. The pace comes first in a block, since loads are shares of it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from asyncdb_bench.analysis.turns.findings import tried_by
from asyncdb_bench.analysis.turns.limit_load import limit_load
from asyncdb_bench.records.plan import Block, Settings, TurnKind
from asyncdb_bench.records.step import Step

COMMON_SHARE = 0.5
"""Of the slowest variant's pace: the load common to all."""
FAR_SLOWER = 0.25
"""A variant with less of the best pace does not set the common load: the others would idle."""
CARRIES = 0.9
"""Of its pace up to which a variant is asked for the common load."""
FEW = 20
"""Arrivals that a turn should have; its window is up to :data:`LONGEST` turns long for them."""
LONGEST = 3.0
AT_REST = 0.7
"""Length of a turn at rest, in turns."""
LEAD_S = 0.1
SETTLED_S = 0.3
"""Load before the window: for the queue to fill, the longer of the two near the limit."""
JITTER_S = 0.05
"""The window of a closed loop begins by up to so much later, at random: answers that come in
bunches, one for each connection of the pool, are then cut at any place."""


@dataclass(frozen=True, slots=True)
class TurnOrder:
    """A turn to take.

    Parameters
    ----------
    variant, kind, round : whose, what for, and in which round of the block.
    window_s, lead_s : measured, and loaded before it.
    load_rps : arrivals a second; 0: at rest, or a closed loop.
    share : of the variant's own pace; None where that is not known.
    first : of its kind in this round: a good moment to end the block.
    """

    variant: str
    kind: TurnKind
    round: int
    window_s: float
    lead_s: float = 0.0
    load_rps: float = 0.0
    share: float | None = None
    first: bool = False


Turns = Generator[TurnOrder, Step | None, None]


class TurnPlan:
    """The turns of one block.

    Parameters
    ----------
    block, settings : what is asked for.
    earlier : steps of the same scenario in blocks before.
    seed : of the order.
    """

    def __init__(
        self, block: Block, settings: Settings, earlier: Sequence[Step], seed: Sequence[object]
    ) -> None:
        self.block = block
        self.settings = settings
        self.common_rps = block.common_rps
        self._alive = [trial.variant for trial in block.trials]
        self._paces: dict[str, list[float]] = {}
        self._tried = {
            label: tried_by([step for step in earlier if step.variant == label])
            for label in self._alive
        }
        self._random = random.Random(",".join(map(str, seed)))

    def turns(self) -> Turns:
        """Yield turn after turn; each is answered with its step, None: the variant has ended."""
        if self._others():
            yield from self._all("idle", 0)
        for number in range(self.block.rounds):
            for kind in self._kinds(number):
                yield from self._all(kind, number)

    def pace(self, label: str) -> float:
        """Return a variant's pace in this block so far, 1/s; 0: it is not known."""
        found = self._paces.get(label)
        return math.exp(sum(map(math.log, found)) / len(found)) if found else 0.0

    def _kinds(self, number: int) -> list[TurnKind]:
        others = self._others()
        kinds: list[TurnKind] = [kind for kind in self.block.kinds if kind == "pace"]
        if others:
            kinds.append(others[self._place(number) % len(others)])
        self._random.shuffle(kinds)
        if not number and "pace" in kinds:
            kinds.remove("pace")
            kinds.insert(0, "pace")
        return kinds

    def _others(self) -> list[TurnKind]:
        return [kind for kind in self.block.kinds if kind != "pace"]

    def _place(self, number: int) -> int:
        """Return which round of all blocks of the scenario a round of this block is."""
        return self.block.number * self.block.rounds + number

    def _all(self, kind: TurnKind, number: int) -> Turns:
        lead_s = self._lead(kind)
        if kind == "common" and not self.common_rps:
            self.common_rps = common_load([self.pace(label) for label in self._alive])
        first = True
        for label in self._random.sample(self._alive, len(self._alive)):
            load, share = self._load(label, kind, number)
            if kind not in ("idle", "pace") and not load:
                continue
            window_s = self._window(kind, load)
            step = yield TurnOrder(label, kind, number, window_s, lead_s, load, share, first)
            first = False
            if step is None:
                self._alive.remove(label)
            else:
                self._note(label, kind, step)

    def _lead(self, kind: TurnKind) -> float:
        if kind == "idle":
            return 0.0
        if kind == "pace":
            return LEAD_S + self._random.uniform(0, JITTER_S)
        return SETTLED_S if kind == "limit" else LEAD_S

    def _load(self, label: str, kind: TurnKind, number: int) -> tuple[float, float | None]:
        pace = self.pace(label)
        if not pace or kind in ("idle", "pace"):
            return 0.0, None
        if kind == "common":
            fits = self.common_rps <= CARRIES * pace
            return (self.common_rps, self.common_rps / pace) if fits else (0.0, None)
        if kind == "share":
            shares = self.settings.shares
            share = shares[self._place(number) // len(self._others()) % len(shares)]
        else:
            share = limit_load(self._tried[label]).share
        return share * pace, share

    def _window(self, kind: TurnKind, load: float) -> float:
        turn_s = self.settings.turn_s
        if kind == "idle":
            return AT_REST * turn_s
        if kind == "pace":
            return turn_s
        return min(max(turn_s, FEW / load), LONGEST * turn_s)

    def _note(self, label: str, kind: TurnKind, step: Step) -> None:
        if not step.valid:
            return
        if kind == "pace" and step.achieved_rps > 0:
            self._paces.setdefault(label, []).append(step.achieved_rps)
        if kind != "idle":
            self._tried[label] += tried_by([step])


def common_load(paces: Sequence[float]) -> float:
    """Return the load common to all variants, 1/s; 0: none has a pace.

    Half of the slowest pace, those far slower than the best left out, rounded down to a tenth of a
    decade (the Renard series R10, ISO 3): runs on the same machine then mostly share it.
    """
    known = [each for each in paces if each > 0]
    if not known:
        return 0.0
    slowest = min(each for each in known if each >= FAR_SLOWER * max(known))
    load = math.pow(10, math.floor(10 * math.log10(COMMON_SHARE * slowest)) / 10)
    return max(round(load, 0 if load >= 40 else 1), 0.1)
