"""Whether all processes of a launch fit into memory at once, and else how they are split. Pure."""

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


def groups_that_fit(
    variants: Sequence[Variant], copies: int, available_mb: float
) -> list[tuple[Variant, ...]]:
    """Return the variants in as few groups as fit into memory, in their order.

    Parameters
    ----------
    variants : to launch.
    copies : sets of processes that each has: one for each group of scenarios on the same data.
    available_mb : of the machine. A variant that does not fit by itself is tried by itself.
    """
    found: list[list[Variant]] = []
    room = 0.0
    for variant in variants:
        need = copies * needed_mb(variant)
        if not found or need > room:
            found.append([])
            room = max(available_mb - KEPT_MB, 0.0)
        found[-1].append(variant)
        room -= need
    return [tuple(each) for each in found]
