"""How the services are reached: knobs that a variant, a scenario or the whole run may set. Pure.

What a variant says goes before what a scenario says, and that before what the run says. The
harness itself sees to all of it, so that the code that runs a variant need not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from asyncdb_bench.contract.knob import knob, make_knobs
from asyncdb_bench.contract.urls import is_socket, read_url
from asyncdb_bench.errors import KnobError
from asyncdb_bench.plan.request import Spec
from asyncdb_bench.records.plan import Plan, PlannedScenario, Reach, Variant

NEAREST_MS, FARTHEST_MS = 0.2, 200.0
"""Round trips that can be had; what is nearer than that the proxy alone takes on a busy machine."""
FIELDS = {"rtt": "rtt_ms", "broker_rtt": "broker_rtt_ms", "via": "via", "tls": "tls"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachKnobs:
    """How the services are reached."""

    rtt: float = knob(
        0.0, unit="ms", low=0, high=FARTHEST_MS, help="round trip to the database; 0: as it is"
    )
    broker_rtt: float = knob(
        0.0, unit="ms", low=0, high=FARTHEST_MS, help="round trip to the broker; 0: as it is"
    )
    via: str = knob(
        "direct", choices=("direct", "pgbouncer"), help="PgBouncer (transaction mode) in between"
    )
    tls: bool = knob(False, help="encrypt the connections to the database (sslmode=require)")


def taken_out(spec: Spec) -> tuple[Spec, dict[str, Any]]:
    """Return a request without what it says of how services are reached, and that by field.

    Parameters
    ----------
    spec : of a variant or a scenario.

    Raises
    ------
    KnobError : a value out of bounds.
    """
    own = {name: value for name, value in spec.knobs.items() if name in FIELDS}
    rest = {name: value for name, value in spec.knobs.items() if name not in FIELDS}
    return Spec(spec.name, rest, spec.at), made(own, spec.label)


def made(given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return what is given, by the names of :class:`ReachKnobs`, as values of :class:`Reach`.

    Raises
    ------
    KnobError : a value out of bounds.
    """
    knobs = make_knobs(ReachKnobs, given, owner=owner, budget=0)
    for name in ("rtt", "broker_rtt"):
        if 0 < getattr(knobs, name) < NEAREST_MS:
            raise KnobError(
                f"{owner}:{name}={given[name]} is nearer than the proxy can be: give 0 (nothing is"
                f" added) or at least {NEAREST_MS:g} ms"
            )
    return {FIELDS[name]: getattr(knobs, name) for name in given}


def told(reach: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of :class:`Reach` by the names of their knobs."""
    return {name: reach[each] for name, each in FIELDS.items() if each in reach}


def reach_of(scenario: PlannedScenario, variant: Variant) -> Reach:
    """Return how a variant reaches the services in a scenario."""
    return replace(scenario.reach, **variant.reach)


def reaches_of(plan: Plan) -> list[Reach]:
    """Return the different ways in which the services of a run are reached."""
    found = (
        reach_of(scenario, variant)
        for scenario in plan.scenarios
        for variant in plan.variants
        if variant.label not in scenario.refused
    )
    return list(dict.fromkeys(found))


def takes_no_distance(url: str) -> bool:
    """Return whether a database is on another machine or a socket, so that nothing is added.

    Parameters
    ----------
    url : ``DATABASE_URL``; empty: the database is ours.

    Raises
    ------
    UsageError : it cannot be read.
    """
    if not url:
        return False
    hosts = read_url(url).get("host", "").split(",")
    return any(not each or is_socket(each) or _is_far(each) for each in hosts)


def is_far(url: str) -> bool:
    """Return whether what a URL names is on another machine, as it says; empty: it is not."""
    from urllib.parse import urlsplit

    return _is_far(urlsplit(url).hostname or "localhost")


def _is_far(host: str) -> bool:
    import ipaddress

    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
