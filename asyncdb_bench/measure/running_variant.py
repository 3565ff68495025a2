"""One variant of a launch: its processes, whether they are paused, and what they were asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asyncdb_bench.analysis.step.record import whole_audit
from asyncdb_bench.analysis.step.series import NO_BEATS, Beats, merged
from asyncdb_bench.analysis.step.validity import audit_doubts
from asyncdb_bench.errors import SaidFailedError, ServiceError, WriteError
from asyncdb_bench.measure.launch import Launch, Processes, offer
from asyncdb_bench.measure.monitor import Monitor
from asyncdb_bench.measure.recording import Recording, Window
from asyncdb_bench.measure.round_trips import Clocks, doubts_of, round_trips_of
from asyncdb_bench.measure.run_context import RunContext
from asyncdb_bench.measure.turns import LONGEST_REST_S, TurnOrder
from asyncdb_bench.processes.child import Child
from asyncdb_bench.processes.life import LifeWatch, PartLostError
from asyncdb_bench.processes.place import Everywhere
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.messages import StepReply
from asyncdb_bench.records.plan import LoadOrder, Trial
from asyncdb_bench.records.step import Audit, Observed, Step, TrialEnd, Turn
from asyncdb_bench.services.watching import DepthWatch, Statistics

HANGS_S = 5.0
"""How long an application may take to say what it noted before it counts as hanging; it does so in
a thread of its own, so that a loop that is blocked answers, too."""
LOOK_S, QUIET_LOOKS, HELD_UP_US = 0.1, 5, 20_000
"""An overload is over when nothing was under way at so many looks in a row, and the loop was held
up for no longer meanwhile."""
AUTOVACUUM = 60
"""Transactions of autovacuum's visits to a database within a launch of a minute or two (measured:
20 to 30 each); of a server that is not ours it cannot be switched off."""
OF_A_CONNECTION = 3
"""Transactions that a connection of the pool may commit by itself within a launch: it starts in
one, and where others create tables meanwhile, it takes note of that in another while it is idle
(findings/postgresql_idle_commits.sh)."""


def is_free(beats: Beats) -> bool:
    """Return whether a loop beat, and was not held up: one that is does not beat at all."""
    return len(beats.lag_us) > 0 and int(beats.lag_us.max()) < HELD_UP_US


class RunningVariant:
    """The running processes of one variant, which serve several scenarios.

    A context manager: its database and queue are watched while it is open.

    Parameters
    ----------
    context : of the run.
    launch, processes : what was started, and what runs.
    trials : one for each scenario that it is asked, in the order of the launch's.
    load : the process that offers; of a chat its own.
    """

    def __init__(
        self,
        context: RunContext,
        launch: Launch,
        processes: Processes,
        trials: Sequence[Trial],
        load: Child,
    ) -> None:
        self.context = context
        self.launch = launch
        self.processes = processes
        self.load = load
        self.began = time.monotonic()
        self.paused_at = 0.0
        self.offered = 0
        self.notes: tuple[Doubt, ...] = ()
        variant, services = launch.variant, context.services
        self.recordings = {
            asked.label: Recording(context, trial, variant, asked)
            for trial, asked in zip(trials, launch.scenarios, strict=True)
        }
        by_place = processes.by_place()
        self.pausable = Everywhere(by_place)
        roles = {"app": [], "workers": [], **processes.here}
        roles |= {"load": [load.pid], **services.roles()}
        self.away = context.placement.watches(by_place, with_broker=bool(variant.brokers))
        for role in {role for watch in self.away for role in watch.roles}:
            roles.pop(role, None)
        if not variant.brokers:
            roles.pop("broker", None)
        watched = (lambda: Statistics(processes.database)) if processes.database else None
        self.monitor = Monitor(roles, watched, self.away)
        self.life = LifeWatch(
            [
                *(each.part() for each in (*processes.apps, *processes.workers) if each.pid),
                load.part(shared=True),
                *(context.load_set.parts() if context.load_set is not None else ()),
                *services.parts(with_broker=bool(variant.brokers)),
                *(watch.part() for watch in self.away),
            ]
        )
        self.depth: DepthWatch | None = None
        if (broker := services.broker_for(variant.brokers)) is not None:
            self.depth = DepthWatch(broker, processes.queue, variant.waits_in)
        self._stack = contextlib.ExitStack()
        self._before: int | None = None
        self._visits = 0

    def __enter__(self) -> RunningVariant:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.monitor)
            stack.enter_context(self.life)
            if self.depth is not None:
                stack.enter_context(self.depth)
            stack.callback(self.pausable.resume)
            self._before = self.monitor.transactions()
            self._visits = AUTOVACUUM if self.monitor.has_autovacuum() else 0
            for recording in self.recordings.values():
                recording.trips_before = self._look(recording)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no more, and leave nothing paused: what is paused cannot end in order."""
        self._stack.close()

    @property
    def label(self) -> str:
        """The variant's label."""
        return self.launch.variant.label

    def pause(self) -> None:
        """Stop all its processes until it is on turn again."""
        if self.depth is not None:
            self.depth.paused = True
        self.pausable.stop()
        self.paused_at = time.monotonic()
        if self.pausable.refusal and not any(
            note.kind is DoubtKind.NOT_STOPPED for note in self.notes
        ):
            self.notes += (Doubt(DoubtKind.NOT_STOPPED, subject=self.pausable.refusal),)

    def resume(self) -> None:
        """Let its processes go on."""
        self.pausable.resume()
        if self.depth is not None:
            self.depth.paused = False

    def take(
        self, order: TurnOrder, seed: tuple[int, ...], scratch: Path, awake: Sequence[str]
    ) -> Step:
        """Take a turn.

        What it uses is counted while it is paused, before and after: all that it did is in the
        account, and what it used meanwhile shows.

        Parameters
        ----------
        order : what to do.
        seed : of arrivals and parameters.
        scratch : folder for what the load hands over.
        awake : labels of other variants that could not be paused.

        Raises
        ------
        PartLostError : a part was lost; what was recorded until then is written down as void.
        """
        recording = self.recordings[order.scenario]
        times = f"{order.lead_s:.3f} {order.window_s:.3f}"
        self.context.event("window", f"{recording.trial.id} {order.kind} {times}")
        load = self._load_order(order, recording, seed)
        file = scratch / f"{recording.trial.id}-{self.offered}.npz"
        clocks, reply = Clocks(), None
        self.monitor.begin(more=order.kind == "overload")
        self.context.services.set_reach(recording.reach)
        self.resume()
        self.life.begin()
        if self.depth is not None:
            self.depth.take()
        if order.kind == "idle":
            time.sleep(order.window_s)
        else:
            reply = self._offered(load, str(file), recording)
        beats, silent = self._beats_or_why()
        depths = self.depth.take() if self.depth is not None else None
        rest_s = self._rest() if order.kind == "overload" else None
        lost = self._lost(silent, reply)
        self.pause()
        observed = self.monitor.end(memory=order.kind in ("limit", "rung", "overload"))
        if observed.work is not None:
            recording.more_transactions += OF_A_CONNECTION * observed.work.sessions
        broken = (*lost, *self._breaks(observed))
        turn = Turn(
            order.kind,
            order.round,
            connections=load.connections,
            share=order.share,
            beats=len(beats.at_us),
            used_while_paused=self.monitor.used_while_paused,
            awake=tuple(awake),
        )
        window = Window(
            turn, load, clocks, observed, beats, broken, reply, file if reply else None, depths,
            rest_s,
        )  # fmt: skip
        number, self.offered = self.offered, self.offered + 1
        if broken and reply is None:
            raise PartLostError(broken, shared=self.life.shared)
        step = recording.judge(window, number)
        if found := [doubt for doubt in step.reasons if doubt.breaking]:
            raise PartLostError(found, shared=self.life.shared)
        return step

    def _load_order(
        self, order: TurnOrder, recording: Recording, seed: tuple[int, ...]
    ) -> LoadOrder:
        settings, processes = self.context.settings, self.processes
        shape = recording.scenario.shape if order.kind == "rung" else ()
        patience_s = timeout_ms = 0.0
        if order.kind == "overload" and (asked := recording.scenario.overload) is not None:
            # at full speed nobody gives up: there is always somebody who waits
            shape, patience_s, timeout_ms = asked.shape, asked.patience_ms / 1000, asked.timeout_ms
        return LoadOrder(
            order.load_rps,
            order.window_s,
            order.drain_s,
            seed,
            shape=shape,
            lead_s=order.lead_s,
            connections=settings.connections if order.kind == "pace" else 0,
            scenario=order.scenario,
            port=processes.port,
            host=processes.host,
            health=processes.health,
            clock=processes.clock,
            patience_s=patience_s,
            timeout_ms=timeout_ms,
        )

    def _rest(self) -> float | None:
        """Wait until nothing of an overload is under way; return how long that took, seconds.

        Only a loop that beats can be believed: one that is held up has work in its sockets that no
        database and no broker has seen yet.

        Returns
        -------
        None where something still was after :data:`LONGEST_REST_S`.
        """
        began, quiet = time.monotonic(), 0
        while quiet < QUIET_LOOKS:
            now_s = time.monotonic() - began
            if now_s > LONGEST_REST_S:
                return None
            time.sleep(LOOK_S)
            beats, silent = self._beats_or_why()
            quiet = quiet + 1 if silent is None and self._is_quiet(beats) else 0
        return max(0.0, time.monotonic() - began - QUIET_LOOKS * LOOK_S)

    def _is_quiet(self, beats: Beats) -> bool:
        """Return whether a variant has nothing to do, by its beats since the last look."""
        at_broker = self.depth.take() if self.depth is not None else []
        # an application of others may have no heartbeat
        free = self.launch.variant.target is not None or is_free(beats)
        return self.monitor.is_quiet() and free and not any(count for _, count in at_broker)

    def _offered(self, order: LoadOrder, file: str, recording: Recording) -> StepReply:
        try:
            reply = offer(self.load, order, file)
        except SaidFailedError as error:
            # in the middle of a run it has but one reason to say so
            raise WriteError(f"{error}; what was measured before is kept") from error
        except ServiceError as error:
            # no one knows what was asked: there is no ledger, and so no step
            lost = self.life.end() or (Doubt(DoubtKind.SILENT, subject=str(error)),)
            raise PartLostError(lost, shared=True) from error
        if reply.lost and not reply.ledger.scheduled:
            # nothing was offered: there is no step either
            lost = tuple(Doubt(DoubtKind.DIED, subject=each) for each in reply.lost)
            raise PartLostError((*self.life.end(), *lost), shared=True)
        recording.count(reply)
        return reply

    def _beats_or_why(self) -> tuple[Beats, Doubt | None]:
        """Return what the applications noted since the last call, or why they do not say."""
        try:
            return merged([app.beats(HANGS_S) for app in self.processes.apps]), None
        except ServiceError as error:
            return NO_BEATS, Doubt(DoubtKind.SILENT, subject=str(error))

    def _lost(self, silent: Doubt | None, reply: StepReply | None) -> tuple[Doubt, ...]:
        """Return what was lost since the window was begun; a death goes before what follows it."""
        found = [*self.life.end()]
        if reply is not None and reply.lost:
            self.life.shared = True
            found += [Doubt(DoubtKind.DIED, subject=each) for each in reply.lost]
        return tuple(found) if found or silent is None else (silent,)

    def _breaks(self, observed: Observed) -> tuple[Doubt, ...]:
        """Return which ways to services and hosts broke."""
        cut = [watch for watch in self.away if watch.cut]
        found = [Doubt(DoubtKind.NETWORK, subject=watch.cut) for watch in cut]
        breaks = [observed.broken, self.depth.lost() if self.depth is not None else ""]
        found += [Doubt(DoubtKind.RESTARTED, subject=each) for each in breaks if each]
        if any(breaks) or any(watch.part().shared for watch in cut):
            self.life.shared = True
        return tuple(found)

    def _look(self, recording: Recording) -> Mapping[str, float]:
        with_broker = bool(self.launch.variant.brokers)
        trips = self.context.round_trips
        return trips.look(recording.reach, with_broker=with_broker, through=self.launch.through)

    @property
    def seconds(self) -> float:
        """Since it was ready."""
        return time.monotonic() - self.began

    def look_at_round_trips(self) -> dict[str, Mapping[str, float]]:
        """Return the round trips as they are now, by scenario, milliseconds."""
        return {label: self._look(each) for label, each in self.recordings.items()}

    def finish(self, trips_after: Mapping[str, Mapping[str, float]]) -> list[TrialEnd]:
        """End the processes, hold what was asked against the database's own count; return the ends.

        The count is of the launch as a whole: where it contradicts the ledgers, nothing of any
        scenario is sound.

        Parameters
        ----------
        trips_after : of :meth:`look_at_round_trips`, while all are still there.
        """
        # a backend reports its last transactions to pg_stat_database when it ends
        self.resume()
        self.processes.end()
        after = self.monitor.transactions(at_the_end=True)
        audit = self._audit(after)
        reasons = tuple(audit_doubts(audit, self.context.settings.tolerance.audit))
        if self.monitor.problem:
            self.notes += (Doubt(DoubtKind.UNWATCHED, subject=self.monitor.problem),)
        ends = []
        for label, recording in self.recordings.items():
            trips = round_trips_of(recording.reach, recording.trips_before, trips_after[label])
            ends.append(
                replace(
                    TrialEnd.of(recording.trial, self.seconds),
                    audit=audit,
                    reasons=reasons,
                    notes=(*self.notes, *doubts_of(trips)),
                    round_trips=trips,
                )
            )
        return ends

    def _audit(self, after: int | None) -> Audit | None:
        recordings = self.recordings.values()
        besides = self.launch.variant.budget * OF_A_CONNECTION + self._visits
        besides += sum(each.more_transactions for each in recordings)
        ledgers = [ledger for each in recordings for ledger in each.ledgers]
        return whole_audit(ledgers, self._before, after, besides)

    def lost_end(self, scenario: str, error: PartLostError) -> TrialEnd:
        """Return how the trial of a scenario ended in which a part was lost."""
        trial = self.recordings[scenario].trial
        end = TrialEnd.of(trial, self.seconds, failure=str(error))
        return replace(end, reasons=error.doubts, notes=self.notes)
