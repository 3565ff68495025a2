"""What all launches of a run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from asyncdb_bench.errors import SaidFailedError, ServiceError, UnsupportedError
from asyncdb_bench.measure.round_trips import RoundTrips
from asyncdb_bench.processes.life import PartLostError, ending
from asyncdb_bench.processes.load_set import LoadSet
from asyncdb_bench.processes.place import Placement
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Pinning, Settings
from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.records.step import Step
from asyncdb_bench.services.running import Services


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all launches of a run share.

    Parameters
    ----------
    run_id, seed, settings, pinning : of the run.
    folder : where to write.
    services : that run.
    on_step : told of every step as it ends.
    other_run : says who else held the machine since it was asked last; empty: no one.
    load_set : the load's processes, where there are several; None: each launch starts its own.
    placement : who plays which role.
    """

    run_id: str
    seed: int
    settings: Settings
    folder: RunFolder
    services: Services
    on_step: Callable[[Step], None]
    pinning: Pinning = field(default_factory=Pinning)
    other_run: Callable[[], str] = str
    load_set: LoadSet | None = None
    placement: Placement = field(default_factory=Placement)
    round_trips: RoundTrips = field(init=False)

    def __post_init__(self) -> None:
        place = self.placement.at("application")
        object.__setattr__(self, "round_trips", RoundTrips(self.services, place))

    def sweep(self) -> bytes:
        """Return in JSON what is to be removed elsewhere if this process is killed; or nothing."""
        queues, events = f"asyncdb-bench-{self.run_id}-", self.folder.logs / "events.log"
        order = self.services.sweep(queues, events)
        return msgspec.json.encode(order) if order is not None else b""

    def event(self, what: str, whose: str = "") -> None:
        """Note in the run's log what begins now."""
        self.folder.note_event(what, whose)

    def lost_service(self, *, with_broker: bool) -> PartLostError | None:
        """Return which service has ended or does not answer; None: all live."""
        found = [
            Doubt(DoubtKind.DIED, subject=f"{part.who} {ending(code)}")
            for part in self.services.parts(with_broker=with_broker)
            if (code := part.exit_code()) is not None
        ]
        if not found:
            # its guard may not have told yet, or it is a server of others
            try:
                self.services.check(with_broker=with_broker)
            except ServiceError as error:
                found = [Doubt(DoubtKind.DIED, subject=str(error))]
        return PartLostError(found, shared=True) if found else None

    def lost_in_start(self, error: ServiceError, *, with_broker: bool) -> PartLostError | None:
        """Return what was lost while a variant started; None: it would not start again either.

        Parameters
        ----------
        error : that ended the start.
        with_broker : whether the variant needs a broker.
        """
        if lost := self.lost_service(with_broker=with_broker):
            return lost
        if isinstance(error, SaidFailedError | UnsupportedError):
            return None
        return PartLostError([Doubt(DoubtKind.DIED, subject=str(error))], shared=False)

    def recover(self) -> None:
        """Start services of ours anew, and wait for those of others.

        Raises
        ------
        ServiceError : one does not come back.
        """
        self.event("recover")
        self.services.recover()
        if self.load_set is not None:
            self.load_set.recover()
