"""One variant of a block: its processes, whether they are stopped, and what it was asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asyncdb_bench.analysis.step.rest import resting_step
from asyncdb_bench.analysis.step.series import Beats
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import LoadOrder, Trial
from asyncdb_bench.records.step import Step, Turn
from asyncdb_bench.trial.clocks import Clocks
from asyncdb_bench.trial.hosts.stopping import Everywhere
from asyncdb_bench.trial.life import PartLostError
from asyncdb_bench.trial.recording import Recording
from asyncdb_bench.trial.turns.turn_order import TurnOrder

RESUMED_S = 0.03
"""From a resume until a turn begins: late timers run, connections see that all is well."""
DRAIN_S = 3.0


class Contestant:
    """One variant of a block.

    Parameters
    ----------
    trial : its trial.
    recording : of its steps, opened.
    began : when its block did, monotonic seconds.
    """

    def __init__(self, trial: Trial, recording: Recording, began: float) -> None:
        self.trial = trial
        self.recording = recording
        self.began = began
        self.lost: PartLostError | None = None
        self.stopped_at = 0.0
        self.stoppable = Everywhere(recording.processes)

    def stop(self) -> None:
        """Stop all its processes."""
        if self.recording.depth is not None:
            self.recording.depth.paused = True
        self.stoppable.stop()
        self.stopped_at = time.monotonic()
        if self.stoppable.refusal and not any(
            note.kind is DoubtKind.NOT_STOPPED for note in self.recording.notes
        ):
            found = Doubt(DoubtKind.NOT_STOPPED, subject=self.stoppable.refusal)
            self.recording.notes += (found,)

    def resume(self) -> None:
        """Let its processes go on, and give them a moment."""
        self.stoppable.resume()
        if self.recording.depth is not None:
            self.recording.depth.paused = False
        time.sleep(RESUMED_S)

    def warm_up(self, seconds: float, connections: int, seed: tuple[int, ...]) -> None:
        """Load it for a while; what that shows is counted and not recorded.

        Raises
        ------
        PartLostError : a part of it was lost.
        """
        order = LoadOrder(0, seconds, DRAIN_S, seed, False, connections=connections)
        self.recording.warm_up(order)

    def take(
        self,
        order: TurnOrder,
        seed: tuple[int, ...],
        scratch: Path,
        connections: int,
        others: Sequence[Contestant],
    ) -> Step:
        """Take a turn while the others stand.

        Raises
        ------
        PartLostError : a part of it was lost, or it answered nothing.
        """
        connections = connections if order.kind == "pace" else 0
        turn = Turn(
            order.kind,
            order.round,
            connections=connections,
            share=order.share,
            awake=tuple(each.trial.variant for each in others if each.stoppable.refusal),
        )
        if order.kind == "idle":
            return self._rest(order, turn, others)
        load = LoadOrder(
            order.load_rps,
            order.window_s,
            DRAIN_S,
            seed,
            lead_s=order.lead_s,
            connections=connections,
        )
        return self.recording.step(load, scratch, turn=turn, around=lambda: Watch(others).complete)

    def _rest(self, order: TurnOrder, turn: Turn, others: Sequence[Contestant]) -> Step:
        """Record what it uses with nothing to do."""
        recording, clocks = self.recording, Clocks()
        watch = Watch(others)
        observed, beats = recording.rest(order.window_s)
        turn = watch.complete(turn, beats)
        step = resting_step(
            recording.context,
            recording.offered,
            turn,
            order.window_s,
            clocks.started_at,
            observed,
            recording.run_context.other_run(),
        )
        recording.offered += 1
        recording.keep(step)
        return step


class Watch:
    """Notes how busy those were that are not on turn, from now on.

    Parameters
    ----------
    others : they.
    """

    def __init__(self, others: Sequence[Contestant]) -> None:
        self.others = others
        self.used_s = [each.stoppable.used_s() for each in others]
        self.began = time.monotonic()

    def complete(self, turn: Turn, beats: Beats) -> Turn:
        """Return a turn with how busy they were, and how often its own loops beat."""
        took = time.monotonic() - self.began
        spent = sum(
            max(0.0, each.stoppable.used_s() - before)
            for each, before in zip(self.others, self.used_s, strict=True)
        )
        return replace(turn, beats=len(beats.at_us), others_busy=spent / took)
