"""Steps -> comparisons: what each variant did in a scenario, and how they did at one load. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from asyncdb_bench.analysis.findings import Carried, ScenarioFindings, findings_of
from asyncdb_bench.analysis.inference import FREEZE, P50, P95, P99
from asyncdb_bench.analysis.limits import Limit, Need, knee, limit, needs, phases_at
from asyncdb_bench.analysis.tables import aggregate, curve_steps, pace_steps, steps_table
from asyncdb_bench.records.doubts import Doubt, sentence
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.step import RoundTrip, Step, TrialEnd
from asyncdb_bench.text import PROGRAM, listed


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scenario: what was found of all its variants.

    Parameters
    ----------
    scenario : its label.
    findings : values, ratios, answers.
    common_rps : the load at which all variants that carry it were measured, or None.
    points : a row per variant, offered load and launch, see :func:`curve_steps`.
    by_load : a row per variant and offered load, see :func:`aggregate`.
    rows : those at the common load, by variant.
    not_run : reasons, by variant.
    lost : those of them that ran: they lost a part each time, or had no sound turn.
    invalid : by variant, why its figures cannot be relied on.
    phases : by variant, the mean of each phase at the common load, milliseconds.
    limits : by variant, what its capacity compares to in theory, and what it was short of.
    knees : by variant, see :func:`knee`.
    round_trips : that its trials had; none where none was measured.
    needs : what its variants' requests need of their resources, by variant.
    """

    scenario: str
    findings: ScenarioFindings
    common_rps: float | None
    points: pd.DataFrame
    by_load: pd.DataFrame
    rows: pd.DataFrame
    not_run: dict[str, str]
    invalid: dict[str, tuple[Doubt, ...]] = field(default_factory=dict)
    phases: dict[str, dict[str, float]] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)
    knees: dict[str, float | None] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    round_trips: tuple[RoundTrip, ...] = ()
    needs: tuple[Need, ...] = ()

    @property
    def capacities(self) -> dict[str, Carried]:
        """By variant, the best by the metric that ranks first."""
        values, found = self.findings.table.values, self.findings.capacities
        order = sorted(found, key=lambda name: (-values.get(name, 0.0), -found[name].rps))
        return {name: found[name] for name in order}

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


def compare_scenarios(
    manifest: Manifest, ends: Sequence[TrialEnd], records: Sequence[Step]
) -> list[Comparison]:
    """Return a comparison per scenario of the plan.

    Parameters
    ----------
    manifest, ends : of the run.
    records : its steps that stand.
    """
    return [
        _compare(
            asked,
            manifest,
            [end for end in ends if end.scenario == asked.label],
            [record for record in records if record.scenario == asked.label],
        )
        for asked in manifest.plan.scenarios
    ]


def _compare(
    asked: PlannedScenario, manifest: Manifest, ends: Sequence[TrialEnd], steps: Sequence[Step]
) -> Comparison:
    variants, settings = manifest.plan.variants, manifest.plan.settings
    # what makes a whole trial unsound makes its turns so
    unsound = {end.trial for end in ends if end.reasons}
    steps = [replace(each, valid=False) if each.trial in unsound else each for each in steps]
    found = findings_of(
        steps, variants, settings, asked.objective.p99_ms, manifest.launches,
        overloaded=asked.overload is not None,
    )  # fmt: skip
    by_variant = {v.label: [s for s in steps if s.variant == v.label] for v in variants}
    curves = {name: curve_steps(own, asked.objective) for name, own in by_variant.items()}
    points = steps_table([step for name in found.capacities for step in curves[name]])
    by_load = _with_bounds(aggregate(points), found)
    load = found.common_rps
    rows = by_load[by_load.offered_rps == load] if load is not None else by_load[:0]
    of_curves = {name: [*own, *pace_steps(by_variant[name])] for name, own in curves.items()}
    measured = [each for each in variants if each.label in found.capacities]
    doubtful = _unsound(by_variant, ends)
    unmeasured = {
        name: why
        for name, own in by_variant.items()
        if name not in found.capacities and (why := _not_measured(own, doubtful.get(name, ())))
    }
    made = Comparison(
        scenario=asked.label,
        findings=found,
        common_rps=load,
        points=points,
        by_load=by_load,
        rows=rows.set_index("variant"),
        not_run={
            v.label: why
            for v in variants
            if (why := _not_run(v, asked, ends, found.capacities, unmeasured))
        },
        invalid=doubtful,
        phases=phases_at([step for own in curves.values() for step in own], load),
        limits={
            v.label: limit(manifest, v, of_curves[v.label], found.capacities[v.label].rps)
            for v in measured
        },
        lost=frozenset(end.variant for end in ends if end.lost) | unmeasured.keys(),
        round_trips=tuple(trip for end in ends if not end.failure for trip in end.round_trips),
        knees={
            v.label: knee(by_load[(by_load.variant == v.label) & by_load.valid]) for v in measured
        },
        needs=tuple(
            need
            for v in measured
            for need in needs([s for s in of_curves[v.label] if s.valid], v, manifest.pinning)
        ),
    )
    order = [name for name in made.capacities if name in made.rows.index]
    return replace(made, rows=made.rows.reindex(order))


def _with_bounds(by_load: pd.DataFrame, found: ScenarioFindings) -> pd.DataFrame:
    """Return the rows with the bounds of the findings at the common load, and none elsewhere."""
    rows = []
    for row in by_load.to_dict("records"):
        for name in (P50.name, P95.name, P99.name, FREEZE.name):
            bounds = None
            if row["offered_rps"] == found.common_rps:
                bounds = found.tables[name].bounds(str(row["variant"]))
            if bounds is not None:
                row[name] = found.tables[name].values[str(row["variant"])]
                row["bounds"] = "rounds"
            row[f"{name}_low"], row[f"{name}_high"] = bounds or (None, None)
        rows.append(row)
    return pd.DataFrame(rows, columns=by_load.columns) if rows else by_load


def _unsound(
    by_variant: Mapping[str, Sequence[Step]], ends: Sequence[TrialEnd]
) -> dict[str, tuple[Doubt, ...]]:
    """Return why a variant's figures cannot be relied on: most of its turns were not sound.

    A turn that was not is in no figure, so that one or two leave the others as they are.
    """
    found = {}
    for name, own in by_variant.items():
        # an overload that did not begin calm says nothing of the other turns
        loaded = [step for step in own if step.turn.kind not in ("idle", "overload")]
        bad = [step for step in loaded if not step.valid]
        if 2 * len(bad) > len(loaded):
            whole = [doubt for end in ends if end.variant == name for doubt in end.reasons]
            each = [doubt for step in bad for doubt in step.reasons]
            found[name] = tuple(dict.fromkeys((*whole, *each)))
    return found


def _not_run(
    variant: Variant,
    asked: PlannedScenario,
    ends: Iterable[TrialEnd],
    measured: Iterable[str],
    unmeasured: Mapping[str, str],
) -> str:
    if variant.label in asked.refused:
        return asked.refused[variant.label]
    if variant.not_run or variant.label in measured:
        return variant.not_run
    failures = [end.failure for end in ends if end.variant == variant.label and end.failure]
    if failures:
        return failures[-1]
    return unmeasured.get(variant.label, "the run ended before it had a turn")


def _not_measured(own: Sequence[Step], doubts: Sequence[Doubt]) -> str:
    """Return why nothing of a variant's steps is in a figure, as far as they tell."""
    loaded = [step for step in own if step.turn.kind != "idle" and step.ledger.scheduled]
    failed: Counter[str] = Counter()
    for step in loaded:
        failed.update(step.errors)
    asked = sum(step.ledger.scheduled for step in loaded)
    right = sum(step.ledger.ok for step in loaded)
    if failed and right < asked - right:
        return f"it answered {right:,} of {asked:,} requests right: {failed.most_common(1)[0][0]}"
    return f"none of its turns was sound: {sentence(doubts[0])}" if doubts else ""


def command_of(manifest: Manifest) -> str:
    """Return how a run was asked for, without the folders that it wrote to."""
    words = iter(manifest.command)
    kept = [
        word
        for word in words
        if word not in {"--results", "--reports"} or next(words, None) is None
    ]
    return f"{PROGRAM} {' '.join(kept)}"
