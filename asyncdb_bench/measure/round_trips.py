"""The round trips that a launch really had: measured before its first load and after its last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from asyncdb_bench.processes.place import HERE, Place
from asyncdb_bench.records.doubts import Doubt, DoubtKind
from asyncdb_bench.records.plan import Reach
from asyncdb_bench.records.step import RoundTrip
from asyncdb_bench.services.running import Services


class Clocks:
    """Wall clock and monotonic clock at one moment."""

    def __init__(self) -> None:
        self.started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._wall_s, self._monotonic_s = time.time(), time.monotonic()

    def jump_s(self) -> float:
        """Return by how much the wall clock has run away from the monotonic one since, seconds."""
        return (time.time() - self._wall_s) - (time.monotonic() - self._monotonic_s)


FRESH_S = 3.0
"""The variants of a launch begin and end together: one look serves all that go the same way."""
OFF_MS, OFF = 0.15, 0.10
"""How far off a round trip may be, milliseconds or a share, before it is said."""


class RoundTrips:
    """Looks at the round trips of a run.

    Parameters
    ----------
    services : of the run.
    place : where the application runs.
    """

    def __init__(self, services: Services, place: Place = HERE) -> None:
        self.services = services
        self.place = place
        self._seen: dict[tuple[Reach, bool, bool], tuple[float, Mapping[str, float]]] = {}

    def look(self, reach: Reach, *, with_broker: bool, through: bool) -> Mapping[str, float]:
        """Return the round trips as they are, or were a moment ago, milliseconds.

        Parameters
        ----------
        reach : how services are reached.
        with_broker : whether the broker counts.
        through : whether the way leads through the delay proxy.
        """
        way = (reach, with_broker, through)
        at_s, found = self._seen.get(way, (0.0, {}))
        if not found or time.monotonic() - at_s > FRESH_S:
            found = self.place.round_trips(
                self.services, reach, with_broker=with_broker, through=through
            )
            self._seen[way] = (time.monotonic(), found)
        return found


def round_trips_of(
    reach: Reach, before: Mapping[str, float], after: Mapping[str, float]
) -> tuple[RoundTrip, ...]:
    """Return the record of what was measured before and after a trial."""
    asked = {"database": reach.rtt_ms, "broker": reach.broker_rtt_ms}
    return tuple(
        RoundTrip(to, asked[to], before.get(to), after.get(to))
        for to in asked
        if to in before or to in after
    )


def doubts_of(found: tuple[RoundTrip, ...]) -> tuple[Doubt, ...]:
    """Return which round trips were not what was asked for.

    A broker's clients spend time of their own, which the figure holds: it is not judged.
    """
    return tuple(
        Doubt(DoubtKind.ROUND_TRIP, each.measured_ms, low=each.asked_ms, subject=each.to)
        for each in found
        if each.to == "database"
        and each.asked_ms
        and each.measured_ms is not None
        and abs(each.measured_ms - each.asked_ms) > max(OFF_MS, OFF * each.asked_ms)
    )
