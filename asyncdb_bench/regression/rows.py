"""A run's records -> the rows that comparisons, gates and the history work on. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from asyncdb_bench.analysis.standing import standing
from asyncdb_bench.analysis.tables import steps_table
from asyncdb_bench.analysis.turns.merging import merged_step
from asyncdb_bench.analysis.turns.nested import block_values
from asyncdb_bench.analysis.turns.values import CPU, PACE, cells, sound
from asyncdb_bench.records.plan import TurnKind
from asyncdb_bench.records.step import Step, TrialEnd

TURN_KINDS: tuple[TurnKind, ...] = ("common", "pace")


def comparison_rows(records: Sequence[Step], ends: Sequence[TrialEnd]) -> pd.DataFrame:
    """Return a row per step of a ladder; of turns, rows for each block.

    Parameters
    ----------
    records : steps that count.
    ends : of their trials; what was measured in one that lost a part is left out.

    Returns
    -------
    Columns of :func:`steps_table`, and ``kind``: empty for a rung, ``common`` for all turns of a
    block at the common load together (percentiles of all their requests), ``pace`` for those at
    full speed, whose ``pace_rps`` and ``cpu_ms_net`` are geometric means over the rounds.
    """
    records = standing(records, ends)
    rungs = [step for step in records if step.turn is None]
    tables = [steps_table(rungs, ends).assign(kind="", pace_rps=None, cpu_ms_net=None)]
    turns: dict[tuple[str, str, int], list[Step]] = {}
    for step in records:
        if step.turn is not None:
            turns.setdefault((step.scenario, step.variant, step.block), []).append(step)
    for own in turns.values():
        for kind in TURN_KINDS:
            chosen = sound(own, kind)
            if not chosen:
                continue
            row = steps_table([merged_step(chosen, chosen[0].offered_rps, None)], ends)
            full = kind == "pace"
            tables.append(
                row.assign(
                    kind=kind,
                    pace_rps=_block_value(own, PACE.name) if full else None,
                    cpu_ms_net=_block_value(own, CPU.name) if full else None,
                )
            )
    known = [table for table in tables if len(table)]
    return pd.concat(known, ignore_index=True) if known else tables[0]


def _block_value(own: Sequence[Step], name: str) -> float | None:
    (axis,) = (each for each in (PACE, CPU) if each.name == name)
    values = block_values(cells(own, axis))
    return next(iter(values.values()), None)
