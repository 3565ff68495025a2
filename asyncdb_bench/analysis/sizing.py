"""How many threads, connections, workers for a load: Little's law with the measured times. Pure.

At a throughput `X` a resource that each request occupies for `S` seconds has `X * S` requests in it
on average (Little, *A proof for the queuing formula L = λW*, Operations Research 9, 1961); `n` of
it serve at most `n / S`. What a CPU is asked for bounds that: adding threads adds no cores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from asyncdb_bench.analysis.utilisation import LEAST_SAMPLES, app_cores, demand_ms, pictures
from asyncdb_bench.records.plan import Pinning, Variant
from asyncdb_bench.records.step import Step

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
