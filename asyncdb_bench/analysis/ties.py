"""Ways that are the same by their pace: which of them an overload leaves. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from asyncdb_bench.analysis.decision import Choice, Sure, in_time
from asyncdb_bench.analysis.findings import ScenarioFindings
from asyncdb_bench.analysis.inference import GOODPUT, Said
from asyncdb_bench.records.plan import Settings


def by_overload(
    choice: Choice, overloads: Sequence[ScenarioFindings], settings: Settings
) -> Choice:
    """Return a choice between several that are the same, made by what they do in an overload.

    Parameters
    ----------
    choice : made by pace or capacity.
    overloads : of the same run; empty: nothing is added.
    settings : for what counts as the same.
    """
    for found in overloads:
        own = [name for name in choice.use if name in found.table.cells]
        if choice.sure is not Sure.SAME or len(own) < len(choice.use) or len(own) < 2:
            continue
        best = max(own, key=lambda name: found.table.values[name])
        left = tuple(
            name
            for name in own
            if found.compare(GOODPUT, best, name, settings).said is not Said.WORSE
        )
        if len(left) == len(own):
            continue
        worst = min(own, key=lambda name: found.table.values[name])
        kept, lost = found.overloads[best], found.overloads[worst]
        return msgspec.structs.replace(
            choice,
            use=left,
            answer=" or ".join(left),
            because=f"{choice.because}; at {kept.factor:g} x its pace {best} answers"
            f" {in_time(kept)} of it in time, {worst} {in_time(lost)}",
            sure=Sure.KNOWN if len(left) == 1 else Sure.SAME,
        )
    return choice
