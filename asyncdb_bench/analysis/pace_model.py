"""A model of the pace: where a request's time goes, fitted to the cells of a map. Pure.

Of `C` requests that are always there, `N` at once are let in: threads, connections, workers, or one
where the handler itself waits. Each takes CPU time, on one core, and time for which it only waits:
round trips, the queries themselves. That is a closed network of one station and one delay; its
throughput follows exactly by mean value analysis (Reiser and Lavenberg, *Mean-value analysis of
closed multichain queuing networks*, Journal of the ACM 27, 1980) where service times vary as much
as an exponential's, and is bounded by `min(1 / D, N / (D + Z))` (Denning and Buzen, 1978) where
they do not vary at all. How far a way is between the two is fitted, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import least_squares

GOOD = 0.15
"""A way whose held-out cells are predicted this well answers for cells in between."""
START = (0.7, 0.3, 2.0, 0.1, 0.5)
LOW = (0.01, 0.0, 0.0, 0.0, 0.0)
HIGH = (50.0, 20.0, 10.0, 20.0, 1.0)
FOLDS = 4
FEW = 2 * len(START)
"""Of fewer cells each is held out alone, and parameters keep near to where they start."""
LEAST = 4
USUAL = (0.65, 0.2, 1.9, 0.7, 0.5)
KEPT = (0.05, 1.0, 0.3, 0.3, 0.5)
"""What ways on the whole map came to (``docs/map.md``), and how strongly each parameter keeps near
it, per unit, where cells are too few to tell all of them."""
EDGE = 0.15
"""Share by which a case may lie beyond the range of what was measured."""
EDGE_MS = 0.15
"""Times may lie so much beyond it at least: a distance that was asked for is met within that."""
AXES = ("rtt_ms", "queries", "ms", "rows")
TIMES = ("rtt_ms", "ms")


@dataclass(frozen=True, slots=True)
class Case:
    """What a request is.

    Parameters
    ----------
    rtt_ms : round trip to the database.
    queries : one after another.
    ms : time of each in the database.
    rows : that each returns; the model knows nothing of them but the range that was measured.
    """

    rtt_ms: float
    queries: float
    ms: float
    rows: float = 1.0

    @property
    def wait_ms(self) -> float:
        """Time of its queries and their round trips, without any other."""
        return self.queries * (self.ms + self.rtt_ms)


@dataclass(frozen=True, slots=True)
class Way:
    """One variant's parameters.

    Parameters
    ----------
    name : its label.
    at_once : requests that it serves at once.
    cpu_ms, cpu_each_ms : CPU time for a request, and for each of its queries.
    trips : round trips beside the queries' own: BEGIN and COMMIT.
    each_ms : time of a query beside what it was asked to take.
    even : 0: service times vary as an exponential's, 1: not at all.
    """

    name: str
    at_once: int
    cpu_ms: float
    cpu_each_ms: float
    trips: float
    each_ms: float
    even: float

    def demand_ms(self, case: Case) -> float:
        """Return the CPU time of a request."""
        return self.cpu_ms + self.cpu_each_ms * case.queries

    def wait_ms(self, case: Case) -> float:
        """Return for how long a request only waits."""
        return self.trips * case.rtt_ms + case.wait_ms + case.queries * self.each_ms

    def pace(self, case: Case, connections: int) -> float:
        """Return the pace, 1/s.

        Parameters
        ----------
        case : what a request is.
        connections : requests that are always there.
        """
        demand, wait = self.demand_ms(case), self.wait_ms(case)
        inside = min(self.at_once, connections)
        bound = min(1 / demand, inside / (demand + wait))
        exact = mean_value(inside, demand, wait)
        return 1000 * math.exp(self.even * math.log(bound) + (1 - self.even) * math.log(exact))


def mean_value(inside: int, demand: float, wait: float) -> float:
    """Return the throughput of a closed network of one station and one delay.

    Parameters
    ----------
    inside : requests in it.
    demand : service time at the station.
    wait : delay; in the same unit.

    Returns
    -------
    Completions in one such unit.
    """
    queue = throughput = 0.0
    for count in range(1, inside + 1):
        residence = demand * (1 + queue)
        throughput = count / (residence + wait)
        queue = throughput * residence
    return throughput


@dataclass(frozen=True, slots=True)
class Fit:
    """The fitted ways, and how good they are.

    Parameters
    ----------
    ways : by name.
    connections : of the closed loop.
    errors : by name, of each cell predicted by a fit to other cells: ratio - 1.
    cases : that it was fitted to: it answers within their range.
    """

    ways: Mapping[str, Way]
    connections: int
    errors: Mapping[str, Mapping[Case, float]] = field(default_factory=dict)
    cases: tuple[Case, ...] = ()

    def typical(self, name: str) -> float:
        """Return the median of a way's errors, without their sign."""
        return float(np.median([abs(each) for each in self.errors[name].values()]))

    def worst(self, name: str) -> float:
        """Return the greatest of a way's errors, without its sign."""
        return max(abs(each) for each in self.errors[name].values())

    def within(self, name: str) -> float:
        """Return the share of cells that were predicted within :data:`GOOD`."""
        errors = list(self.errors[name].values())
        return sum(abs(each) <= GOOD for each in errors) / len(errors)

    def near_error(self, name: str, case: Case) -> float:
        """Return the worst error of a way at the corners of the box that a case lies in.

        It is never taken to be less than the way's usual error; where the box has no corner that
        was measured, it is the worst of all.
        """
        corners = [each for each in self.errors[name] if _is_corner(each, case, self.cases)]
        if not corners:
            return self.worst(name)
        return max(self.typical(name), *(abs(self.errors[name][each]) for each in corners))

    def answer(self, name: str, case: Case, most: float = GOOD) -> tuple[float, float] | None:
        """Return the pace of a way, 1/s, and the error to expect; None: it cannot be told.

        Parameters
        ----------
        name, case : the way, and what a request is.
        most : it is told within the range of what was measured, and where the cells about it were
            predicted within this share by fits that did not know them.
        """
        if name not in self.ways or outside(case, self.cases):
            return None
        error = self.near_error(name, case)
        if error > most:
            return None
        return self.ways[name].pace(case, self.connections), error


def fit(
    paces: Mapping[str, Mapping[Case, float]], at_once: Mapping[str, int], connections: int
) -> Fit | None:
    """Fit the model to the cells of a map; None where there are too few.

    Parameters
    ----------
    paces : by name and case, 1/s.
    at_once : by name, requests that a variant serves at once.
    connections : of the closed loop.

    Returns
    -------
    The ways fitted to all cells; each cell's error is that of a fit to other cells: every fourth
    is held out in turn, of fewer than :data:`FEW` each one.
    """
    cases = tuple(dict.fromkeys(case for each in paces.values() for case in each))
    ways, errors = {}, {}
    for name, known in paces.items():
        if len(known) < LEAST:
            continue
        ways[name] = fit_way(name, at_once[name], known, connections)
        errors[name] = held_out(name, at_once[name], known, connections)
    return Fit(ways, connections, errors, cases) if ways else None


def fit_way(name: str, at_once: int, paces: Mapping[Case, float], connections: int) -> Way:
    """Fit one variant's parameters by least squares of the logarithms of its paces."""
    few = len(paces) < FEW

    def residuals(parameters: Sequence[float]) -> list[float]:
        way = Way(name, at_once, *parameters)
        found = [
            math.log(way.pace(case, connections) / measured) for case, measured in paces.items()
        ]
        kept = [
            weight * (value - start)
            for weight, value, start in zip(KEPT, parameters, USUAL, strict=True)
        ]
        return found + kept if few else found

    found = least_squares(residuals, START, bounds=(LOW, HIGH), loss="soft_l1", f_scale=0.1)
    return Way(name, at_once, *(float(each) for each in found.x))


def held_out(
    name: str, at_once: int, paces: Mapping[Case, float], connections: int
) -> dict[Case, float]:
    """Return each cell's error where it is predicted by a fit that did not know it."""
    ordered = sorted(paces, key=lambda case: (case.rtt_ms, case.queries, case.ms))
    folds = len(ordered) if len(ordered) < FEW else FOLDS
    errors: dict[Case, float] = {}
    for fold in range(folds):
        out = ordered[fold::folds]
        rest = {case: paces[case] for case in ordered if case not in out}
        way = fit_way(name, at_once, rest, connections)
        errors |= {case: way.pace(case, connections) / paces[case] - 1 for case in out}
    return errors


def outside(case: Case, cases: Sequence[Case]) -> dict[str, tuple[float, float]]:
    """Return the axes on which a case lies outside of some others, with the range of each."""
    found = {}
    for axis in AXES:
        values = [getattr(each, axis) for each in cases]
        low, high = min(values), max(values)
        room = max(EDGE * high, EDGE_MS) if axis in TIMES else EDGE * high
        if not max(low - room, 0) <= getattr(case, axis) <= high + room:
            found[axis] = (low, high)
    return found


def _is_corner(corner: Case, case: Case, cases: Sequence[Case]) -> bool:
    """Return whether a cell is one of those next to a case on every axis."""
    for axis in ("rtt_ms", "queries", "ms"):
        wanted, values = getattr(case, axis), sorted({getattr(each, axis) for each in cases})
        below = max((each for each in values if each <= wanted), default=values[0])
        above = min((each for each in values if each >= wanted), default=values[-1])
        if getattr(corner, axis) not in (below, above):
            return False
    return True
