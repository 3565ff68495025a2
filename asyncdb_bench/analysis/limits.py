"""What held a capacity down: the ceiling by theory, the bottleneck, the phases. Pure.

At a throughput `X` a resource that each request occupies for `S` seconds has `X * S` requests in it
on average (Little, *A proof for the queuing formula L = λW*, Operations Research 9, 1961); `n` of
it serve at most `n / S`. What a CPU is asked for bounds that: adding threads adds no cores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from asyncdb_bench.analysis.bottleneck import (
    LEAST_SAMPLES,
    Ceiling,
    Diagnosis,
    apart,
    app_cores,
    ceiling,
    demand_ms,
    diagnose,
    grown,
    pictures,
)
from asyncdb_bench.records.plan import Pinning, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import PHASES, Step

BUSY = 0.7
"""Share of the time that a resource may be busy where requests shall hardly wait for it."""
APART = 0.20
"""A prediction that is farther off than this wants an explanation."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one variant's requests need of one resource.

    Parameters
    ----------
    variant, resource : labels; the resource is one of :data:`LIMITS`.
    has : how many there are.
    occupied_ms : how long a request occupies one, the least of all loads: what makes it longer is
        waiting for something else.
    cpu_ms : CPU time of the application for a request, milliseconds.
    cores : that the application can use.
    """

    variant: str
    resource: str
    has: int
    occupied_ms: float
    cpu_ms: float
    cores: int

    def in_use(self, rps: float) -> float:
        """Return how many are in use on average at a load, 1/s."""
        return rps * self.occupied_ms / 1000

    def needed(self, rps: float) -> int:
        """Return how many a load needs so that each is busy :data:`BUSY` of the time at most."""
        return max(1, math.ceil(self.in_use(rps) / BUSY - 1e-9))

    def pace_with(self, count: int, connections: int) -> float:
        """Return the pace that so many of it permit, 1/s.

        Parameters
        ----------
        count : of the resource.
        connections : of the closed loop: no more requests are there at once.
        """
        at_once = min(count, connections)
        permitted = at_once * 1000 / self.occupied_ms if self.occupied_ms else math.inf
        return min(permitted, self.cores * 1000 / self.cpu_ms if self.cpu_ms else math.inf)


def needs(steps: Sequence[Step], variant: Variant, pinning: Pinning) -> tuple[Need, ...]:
    """Return what a variant's requests need of each of its resources.

    Parameters
    ----------
    steps : sound ones of one scenario, at all loads.
    variant : for its limits.
    pinning : for the cores.
    """
    known = [each for each in pictures(steps) if each.samples >= LEAST_SAMPLES]
    known = [each for each in known if each.completed_rps > 0]
    if not known:
        return ()
    cpu_ms = min(each.cpu.get("app", 0.0) * 1000 / each.completed_rps for each in known)
    cores = app_cores(variant, pinning)
    return tuple(
        Need(variant.label, name, limit, occupied_ms, cpu_ms, cores)
        for name, limit in variant.limits.items()
        if (occupied_ms := min(demand_ms(each, name) for each in known)) > 0
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """What held a variant's capacity down.

    Parameters
    ----------
    ceiling : what operational laws permit at most; None where nothing was measured.
    ratio : capacity / ceiling.
    explanation : where they are apart, the phase that explains it; else empty.
    diagnosis : the bottleneck at saturation, with its evidence.
    """

    ceiling: Ceiling | None
    ratio: float | None
    explanation: str
    diagnosis: Diagnosis


def phases_at(records: Sequence[Step], load: float | None) -> dict[str, dict[str, float]]:
    """Return the mean of each phase over sound steps at one load, by variant, milliseconds."""
    found: dict[str, dict[str, float]] = {}
    at_load = [record for record in records if record.valid and record.offered_rps == load]
    for variant in dict.fromkeys(record.variant for record in at_load):
        (seen,) = pictures([record for record in at_load if record.variant == variant])
        if seen.samples:
            found[variant] = {name: seen.phases.get(name, 0.0) for name in PHASES}
    return found


def limit(
    manifest: Manifest, variant: Variant, records: Sequence[Step], capacity_rps: float
) -> Limit:
    """Return what held one variant down in one scenario."""
    diagnosis = diagnose(records, variant, manifest.pinning) if records else Diagnosis("", "")
    seen = pictures([record for record in records if record.valid])
    found = ceiling(seen, variant, manifest.pinning)
    if found is None or not capacity_rps:
        return Limit(found, None, "", diagnosis)
    ratio = capacity_rps / found.rps
    explanation = ""
    if apart(capacity_rps, found):
        loads = pictures(records)
        before = loads[0]
        after = next((each for each in loads if each.offered_rps > capacity_rps), seen[-1])
        name, low, high = grown(before, after)[0]
        explanation = (
            f"{name} took {low:.3g} ms at {before.offered_rps:g}/s and {high:.3g} ms at"
            f" {after.offered_rps:g}/s"
        )
    return Limit(found, ratio, explanation, diagnosis)


def knee(by_load: pd.DataFrame) -> float | None:
    """Return the offered load from which on more load buys mostly waiting, 1/s.

    The load that maximises Kleinrock's power, throughput over response time (*Power and
    deterministic rules of thumb for probabilistic problems in computer communications*, ICC 1979),
    with the median as response time.

    Parameters
    ----------
    by_load : one variant's sound rows, see :func:`aggregate`.

    Returns
    -------
    None from fewer than three loads, of which none can be said to be a bend.
    """
    known = by_load[by_load.p50_ms.notna() & (by_load.p50_ms > 0)]
    if len(known) < 3:
        return None
    power = known.achieved_rps / known.p50_ms
    return float(known.offered_rps.iloc[int(power.to_numpy().argmax())])
