"""Whether all variants of a block fit into memory at once, and else how they are grouped. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from asyncdb_bench.records.plan import Variant

PROCESS_MB = 90.0
"""What a process of ours takes, generously (measured: 50 to 80 MB; children share much of it)."""
KEPT_MB = 400.0
"""Left to the services and the machine."""


def needed_mb(variant: Variant) -> float:
    """Estimate what the processes of a variant take, MB."""
    at_once = [
        part.copies * (1 + int(part.options.get("concurrency", 1) or 1))
        if part.options.get("pool") == "prefork"
        else part.copies
        for part in variant.parts
    ]
    return PROCESS_MB * (variant.processes + sum(at_once))


def groups(needs_mb: Sequence[float], available_mb: float) -> list[list[int]]:
    """Return the places of those that run at once, in as few groups as their order permits.

    Parameters
    ----------
    needs_mb : of each variant.
    available_mb : of the machine. A variant that does not fit by itself is tried by itself.
    """
    found: list[list[int]] = []
    room = 0.0
    for place, need in enumerate(needs_mb):
        if not found or need > room:
            found.append([])
            room = max(available_mb - KEPT_MB, 0.0)
        found[-1].append(place)
        room -= need
    return found
