"""Tables -> comparisons: what each variant carried, and how they did at one load. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from asyncdb_bench.analysis.capacity import (
    Capacity,
    capacities_by_block,
    capacity_of,
    knee,
    undermining,
    uneven,
)
from asyncdb_bench.analysis.limits import Limit, limit, phases_at
from asyncdb_bench.analysis.ranking import Standing, rank
from asyncdb_bench.analysis.sizing import Need, needs
from asyncdb_bench.analysis.tables import aggregate, steps_table
from asyncdb_bench.analysis.turns.answers import Said
from asyncdb_bench.analysis.turns.findings import TurnFindings, findings_of
from asyncdb_bench.analysis.turns.merging import curve_steps, pace_steps
from asyncdb_bench.analysis.turns.nested import block_values
from asyncdb_bench.analysis.turns.values import FREEZE, P50, P95, P99, PACE
from asyncdb_bench.records.doubts import Doubt
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import RoundTrip, Step, TrialEnd
from asyncdb_bench.text import PROGRAM, listed


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scenario: capacities, and all variants at one load.

    Parameters
    ----------
    scenario : its label.
    common_rps : the highest offered load at which every variant that ran was measured, or None.
    capacities : by variant, best first.
    by_load : a row per variant and offered load, see :func:`aggregate`.
    rows : those at the common load, by variant.
    not_run : reasons, by variant.
    lost : those of them that ran and lost a part each time.
    invalid : by variant, why its capacity cannot be relied on.
    phases : by variant, the mean of each phase at the common load, milliseconds.
    limits : by variant, what its capacity compares to in theory, and what it was short of.
    standings : by variant, its capacity beside the best's.
    knees : by variant, see :func:`knee`.
    turns : what the variants' turns come to; None: they climbed ladders. The standings are then
        those of the pace.
    round_trips : that its trials had; none where none was measured.
    needs : what its variants' requests need of their resources, by variant.
    """

    scenario: str
    common_rps: float | None
    capacities: dict[str, Capacity]
    by_load: pd.DataFrame
    rows: pd.DataFrame
    not_run: dict[str, str]
    invalid: dict[str, tuple[Doubt, ...]] = field(default_factory=dict)
    phases: dict[str, dict[str, float]] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    knees: dict[str, float | None] = field(default_factory=dict)
    turns: TurnFindings | None = None
    lost: frozenset[str] = frozenset()
    round_trips: tuple[RoundTrip, ...] = ()
    needs: tuple[Need, ...] = ()

    def absence(self, name: str) -> str:
        """Say why a variant is not in the tables; one of :attr:`not_run`."""
        how = "measured" if name in self.lost else "run"
        return f"not {how}, because {self.not_run[name]}"

    @property
    def absent(self) -> str:
        """Say which variants are not in the tables; empty: all are."""
        names = {
            "not run": [name for name in self.not_run if name not in self.lost],
            "not measured": [name for name in self.not_run if name in self.lost],
        }
        return "; ".join(f"{how}: {listed(which)}" for how, which in names.items() if which)


def common_load(steps: pd.DataFrame) -> float | None:
    """Return the highest offered load at which every variant was measured soundly in a block.

    Parameters
    ----------
    steps : the rows of one scenario.
    """
    valid = steps[steps.valid & (steps.achieved_rps > 0)]
    loads = [set(rows.offered_rps) for _, rows in valid.groupby("variant")]
    if not loads or len(loads) < steps.variant.nunique():
        return None
    shared = set.intersection(*loads)
    return float(max(shared)) if shared else None


def compare_scenarios(
    manifest: Manifest,
    steps: pd.DataFrame,
    ends: Sequence[TrialEnd],
    records: Sequence[Step] = (),
) -> list[Comparison]:
    """Return a comparison per scenario of the plan that has any step or any refusal.

    Parameters
    ----------
    manifest, ends : of the run.
    steps : rows of :func:`steps_table`.
    records : the same steps as recorded, for where the time went.
    """
    comparisons = []
    for asked in manifest.plan.scenarios:
        own = [record for record in records if record.scenario == asked.label]
        turns = [record for record in own if record.turn is not None]
        if turns:
            comparisons.append(_compare_turns(asked, manifest, ends, turns))
            continue
        rows = steps[steps.scenario == asked.label]
        comparisons.append(_compare(asked, manifest, rows, ends, own))
    return comparisons


def _compare_turns(
    asked: PlannedScenario, manifest: Manifest, ends: Sequence[TrialEnd], turns: Sequence[Step]
) -> Comparison:
    """Compare variants that took turns.

    Parameters
    ----------
    asked, manifest : the scenario, and the run's.
    ends : of all trials: what makes a whole trial unsound makes its turns so.
    turns : of the scenario.
    """
    own_ends = [end for end in ends if end.scenario == asked.label]
    unsound = {end.trial for end in own_ends if end.reasons}
    turns = [replace(each, valid=False) if each.trial in unsound else each for each in turns]
    labels = [variant.label for variant in manifest.plan.variants]
    settings = manifest.plan.settings
    took = sorted(end.seconds for end in own_ends if not end.failure)
    found = findings_of(
        turns, manifest.plan.variants, settings, took[len(took) // 2] if took else 0.0
    )
    by_variant = {name: [each for each in turns if each.variant == name] for name in labels}
    curves = {name: curve_steps(own, asked.objective) for name, own in by_variant.items()}
    saturated = {name: pace_steps(own) for name, own in by_variant.items()}
    paces = found.tables[PACE.name].values
    points = steps_table([step for name in paces for step in curves[name]])
    common = next((s.offered_rps for s in turns if s.turn and s.turn.kind == "common"), None)
    by_load = _with_bounds(aggregate(points), found, common)
    rows = by_load[by_load.offered_rps == common] if common is not None else by_load[:0]
    ranked = sorted(paces, key=lambda name: -paces[name])
    carried = {name: _turn_capacity(found, name) for name in ranked}
    return Comparison(
        scenario=asked.label,
        common_rps=common,
        capacities=carried,
        by_load=by_load,
        rows=rows.set_index("variant").reindex([v for v in ranked if v in set(rows.variant)]),
        not_run={
            v.label: why
            for v in manifest.plan.variants
            if (why := _not_run(v, asked, own_ends, ranked))
        },
        invalid=_unsound_turns(by_variant, own_ends),
        phases=phases_at([step for own in curves.values() for step in own], common),
        limits={
            variant.label: limit(
                manifest,
                variant,
                [*curves[variant.label], *saturated[variant.label]],
                carried[variant.label].rps,
            )
            for variant in manifest.plan.variants
            if variant.label in carried
        },
        standings={name: _turn_standing(found, name) for name in ranked},
        lost=_lost(own_ends),
        round_trips=_round_trips(own_ends),
        knees={name: knee(by_load[(by_load.variant == name) & by_load.valid]) for name in ranked},
        turns=found,
        needs=tuple(
            need
            for variant in manifest.plan.variants
            if variant.label in carried
            for need in needs(
                [
                    step
                    for step in (*curves[variant.label], *saturated[variant.label])
                    if step.valid
                ],
                variant,
                manifest.pinning,
            )
        ),
    )


def _with_bounds(by_load: pd.DataFrame, found: TurnFindings, common: float | None) -> pd.DataFrame:
    """Return the rows with bounds that follow from the spread of all variants over blocks.

    A variant's own few blocks say little of how they spread. Away from the common load each point
    rests on few turns, and has none.
    """
    rows = []
    for row in by_load.to_dict("records"):
        for name in (P50.name, P95.name, P99.name, FREEZE.name):
            bounds = None
            if row["offered_rps"] == common:
                bounds = found.tables[name].bounds(str(row["variant"]))
            row[f"{name}_low"], row[f"{name}_high"] = bounds or (None, None)
        rows.append(row)
    return pd.DataFrame(rows, columns=by_load.columns) if rows else by_load


def _turn_capacity(found: TurnFindings, name: str) -> Capacity:
    if name not in found.capacities:
        return Capacity(0.0, (), 0.0, None, open_ended=False)
    value, low, high = found.capacities[name]
    blocks = found.tables[PACE.name].cells[name]
    shares = tuple(each * found.limits[name].share for each in block_values(blocks).values())
    return Capacity(value, shares, low, high, open_ended=False)


def _turn_standing(found: TurnFindings, name: str) -> Standing:
    if name == found.leader:
        return Standing(1.0, 1.0, 1.0, level=True)
    said = found.said(PACE.name, name)
    if said is None or said.ratio is None:
        return Standing(None, None, None, level=False)
    low, high = said.ratio.bounds or (None, None)
    level = said.said in (Said.SAME, Said.UNKNOWN)
    return Standing(said.ratio.ratio, low, high, level, said.ratio.smallest)


def _unsound_turns(
    by_variant: Mapping[str, Sequence[Step]], ends: Sequence[TrialEnd]
) -> dict[str, tuple[Doubt, ...]]:
    """Return why a variant's figures cannot be relied on: most of its turns were not sound.

    A turn that was not is in no figure, so that one or two leave the others as they are.
    """
    found = {}
    for name, own in by_variant.items():
        loaded = [step for step in own if step.turn is not None and step.turn.kind != "idle"]
        bad = [step for step in loaded if not step.valid]
        if 2 * len(bad) > len(loaded):
            whole = [doubt for end in ends if end.variant == name for doubt in end.reasons]
            each = [doubt for step in bad for doubt in step.reasons]
            found[name] = tuple(dict.fromkeys((*whole, *each)))
    return found


def _compare(
    asked: PlannedScenario,
    manifest: Manifest,
    steps: pd.DataFrame,
    ends: Sequence[TrialEnd],
    records: Sequence[Step],
) -> Comparison:
    scenario, objective = asked.label, asked.objective
    own = [end for end in ends if end.scenario == scenario]
    capacities = {str(variant): capacity_of(rows) for variant, rows in steps.groupby("variant")}
    ranked = dict(sorted(capacities.items(), key=lambda each: -each[1].rps))
    load = common_load(steps)
    by_load = aggregate(steps)
    rows = by_load[by_load.offered_rps == load] if load is not None else by_load[:0]
    invalid = {
        str(variant): reasons
        for variant, rows_of in steps.groupby("variant")
        if (reasons := undermining(rows_of, objective.p99_ms))
    }
    for variant, reason in uneven(steps, ranked, manifest.plan.settings.tolerance.stolen).items():
        invalid[variant] = (*invalid.get(variant, ()), reason)
    by_block = {
        str(variant): capacities_by_block(rows_of, objective.p99_ms)
        for variant, rows_of in steps.groupby("variant")
    }
    return Comparison(
        scenario=scenario,
        common_rps=load,
        by_load=by_load,
        capacities=ranked,
        rows=rows.set_index("variant").reindex([v for v in ranked if v in set(rows.variant)]),
        not_run={
            v.label: why for v in manifest.plan.variants if (why := _not_run(v, asked, own, ranked))
        },
        invalid=invalid,
        phases=phases_at(records, load),
        limits={
            variant.label: limit(
                manifest, variant, [r for r in records if r.variant == variant.label], carried.rps
            )
            for variant in manifest.plan.variants
            if (carried := capacities.get(variant.label)) is not None
        },
        standings=rank(ranked, by_block),
        needs=tuple(
            need
            for variant in manifest.plan.variants
            for need in needs(
                [each for each in records if each.variant == variant.label and each.valid],
                variant,
                manifest.pinning,
            )
        ),
        lost=_lost(own),
        round_trips=_round_trips(own),
        knees={name: knee(by_load[(by_load.variant == name) & by_load.valid]) for name in ranked},
    )


def _not_run(
    variant: Variant,
    asked: PlannedScenario,
    ends: Iterable[TrialEnd],
    measured: Iterable[str],
) -> str:
    if variant.label in asked.refused:
        return asked.refused[variant.label]
    if variant.not_run or variant.label in measured:
        return variant.not_run
    failures = [end.failure for end in ends if end.variant == variant.label and end.failure]
    return failures[-1] if failures else "its trial was not reached"


def _lost(ends: Iterable[TrialEnd]) -> frozenset[str]:
    return frozenset(end.variant for end in ends if end.lost)


def _round_trips(ends: Iterable[TrialEnd]) -> tuple[RoundTrip, ...]:
    return tuple(each for end in ends if not end.failure for each in end.round_trips)


def command_of(manifest: Manifest) -> str:
    """Return how a run was asked for, without the folders that it wrote to."""
    words = iter(manifest.command)
    kept = [
        word
        for word in words
        if word not in {"--results", "--reports"} or next(words, None) is None
    ]
    return f"{PROGRAM} {' '.join(kept)}"
