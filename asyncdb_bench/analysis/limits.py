"""What held a capacity down: the ceiling by theory, the bottleneck, the phases. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from asyncdb_bench.analysis.bottleneck import Diagnosis, diagnose
from asyncdb_bench.analysis.utilisation import Ceiling, apart, ceiling, grown, pictures
from asyncdb_bench.records.plan import Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import PHASES, Step


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
