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


@dataclass(frozen=True, slots=True)
class Case:
    """What a request is.

    Parameters
    ----------
    rtt_ms : round trip to the database.
    queries : one after another.
    ms : time of each in the database.
    """

    rtt_ms: float
    queries: float
    ms: float


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

    def pace(self, case: Case, connections: int) -> float:
        """Return the pace, 1/s.

        Parameters
        ----------
        case : what a request is.
        connections : requests that are always there.
        """
        demand = self.cpu_ms + self.cpu_each_ms * case.queries
        trips = case.queries + self.trips
        wait = trips * case.rtt_ms + case.queries * (case.ms + self.each_ms)
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

    def covers(self, case: Case) -> bool:
        """Return whether a case lies within the range of what was measured."""
        return all(
            min(getattr(each, axis) for each in self.cases)
            <= getattr(case, axis)
            <= max(getattr(each, axis) for each in self.cases)
            for axis in ("rtt_ms", "queries", "ms")
        )

    def near_error(self, name: str, case: Case) -> float:
        """Return the worst error of a way at the corners of the box that a case lies in."""
        corners = [each for each in self.errors[name] if _is_corner(each, case, self.cases)]
        return max((abs(self.errors[name][each]) for each in corners), default=math.inf)

    def answer(self, name: str, case: Case) -> tuple[float, float] | None:
        """Return the pace of a way, 1/s, and the error to expect; None: it cannot be told.

        It is told within the range of what was measured, and where the cells about it were
        predicted within :data:`GOOD` by fits that did not know them.
        """
        if name not in self.ways or not self.covers(case):
            return None
        error = self.near_error(name, case)
        if error > GOOD:
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
    is held out in turn.
    """
    cases = tuple(dict.fromkeys(case for each in paces.values() for case in each))
    if len(cases) < 2 * len(START):
        return None
    ways, errors = {}, {}
    for name, known in paces.items():
        if len(known) < 2 * len(START):
            continue
        ways[name] = fit_way(name, at_once[name], known, connections)
        errors[name] = held_out(name, at_once[name], known, connections)
    return Fit(ways, connections, errors, cases) if ways else None


def fit_way(name: str, at_once: int, paces: Mapping[Case, float], connections: int) -> Way:
    """Fit one variant's parameters by least squares of the logarithms of its paces."""

    def residuals(parameters: Sequence[float]) -> list[float]:
        way = Way(name, at_once, *parameters)
        return [
            math.log(way.pace(case, connections) / measured) for case, measured in paces.items()
        ]

    found = least_squares(residuals, START, bounds=(LOW, HIGH), loss="soft_l1", f_scale=0.1)
    return Way(name, at_once, *(float(each) for each in found.x))


def held_out(
    name: str, at_once: int, paces: Mapping[Case, float], connections: int
) -> dict[Case, float]:
    """Return each cell's error where it is predicted by a fit that did not know it."""
    ordered = sorted(paces, key=lambda case: (case.rtt_ms, case.queries, case.ms))
    errors: dict[Case, float] = {}
    for fold in range(FOLDS):
        out = ordered[fold::FOLDS]
        rest = {case: paces[case] for case in ordered if case not in out}
        way = fit_way(name, at_once, rest, connections)
        errors |= {case: way.pace(case, connections) / paces[case] - 1 for case in out}
    return errors


def _is_corner(corner: Case, case: Case, cases: Sequence[Case]) -> bool:
    """Return whether a cell is one of those next to a case on every axis."""
    for axis in ("rtt_ms", "queries", "ms"):
        wanted, values = getattr(case, axis), sorted({getattr(each, axis) for each in cases})
        below = max((each for each in values if each <= wanted), default=values[0])
        above = min((each for each in values if each >= wanted), default=values[-1])
        if getattr(corner, axis) not in (below, above):
            return False
    return True
