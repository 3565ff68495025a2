"""All that a report is made of: a run, what was analysed of it, and its figures' words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.findings import ScenarioFindings
from asyncdb_bench.analysis.knob_curve import KnobCurve
from asyncdb_bench.analysis.pace_map import PaceMap
from asyncdb_bench.analysis.verdict import Verdict
from asyncdb_bench.errors import StoreError
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.records.run_folder import RunFolder
from asyncdb_bench.records.step import Step, TrialEnd

if TYPE_CHECKING:
    from asyncdb_bench.report.axes import Drawing


LOOKED_AT = 30
"""Newest runs of a folder that are looked at."""
MACHINE = ("cpu", "cores", "usable_cores", "memory_mb", "kernel")


@dataclass(frozen=True, slots=True)
class Earlier:
    """A variant's pace in another run.

    Parameters
    ----------
    scenario, variant : labels.
    pace_rps : 1/s.
    run_id : of the run, which begins with its date.
    """

    scenario: str
    variant: str
    pace_rps: float
    run_id: str


def earlier_paces(folder: RunFolder, manifest: Manifest) -> list[Earlier]:
    """Return the newest stored pace of each other variant, where one alone was measured.

    Parameters
    ----------
    folder, manifest : of the run.

    Returns
    -------
    Of the same work, at the same distance, on the same machine; nothing where several were
    measured, which say more.
    """
    own = {each.label for each in manifest.plan.variants}
    if len(own) > 1 or any(each.target for each in manifest.plan.variants):
        return []
    asked = {each.label: each for each in manifest.plan.scenarios if not each.aside}
    found: dict[tuple[str, str], Earlier] = {}
    for other, said in _others(folder, manifest):
        like = {
            each.label
            for each in said.plan.scenarios
            if each.label in asked and _is_like(each, asked[each.label])
        }
        rows = []
        with suppress(StoreError):
            rows = other.summary()
        for row in rows:
            key = (str(row.get("scenario")), str(row.get("variant")))
            pace = row.get("pace_rps")
            if pace and key[0] in like and key[1] not in own and key not in found:
                found[key] = Earlier(key[0], key[1], pace, other.run_id)
    return list(found.values())


def _others(folder: RunFolder, manifest: Manifest) -> Iterable[tuple[RunFolder, Manifest]]:
    """Yield runs of the same folder and machine with the same budget, the newest first."""
    paths = [each for each in folder.path.parent.iterdir() if not each.is_symlink()]
    for path in sorted(paths, reverse=True)[:LOOKED_AT]:
        other = RunFolder(path)
        if other.run_id == folder.run_id or not (path / "manifest.json").is_file():
            continue
        with suppress(StoreError):
            said = other.manifest()
            same = all(said.machine.get(name) == manifest.machine.get(name) for name in MACHINE)
            if same and said.plan.settings.budget == manifest.plan.settings.budget:
                yield other, said


def _is_like(one: PlannedScenario, other: PlannedScenario) -> bool:
    return (one.scenario, one.knobs, one.reach) == (other.scenario, other.knobs, other.reach)


Figures = Mapping[str, Mapping[str, "Drawing"]]


@dataclass(frozen=True, slots=True)
class Analysed:
    """A run's records, and its scenarios compared.

    Parameters
    ----------
    manifest, ends : of the run; of the trials that measured.
    offered : their steps.
    records : those of them that stand.
    steps : the same as a table.
    comparisons : one per scenario, in the plan's order.
    """

    manifest: Manifest
    ends: list[TrialEnd]
    offered: list[Step]
    records: list[Step]
    steps: pd.DataFrame
    comparisons: tuple[Comparison, ...]

    @property
    def asked(self) -> dict[str, PlannedScenario]:
        """The scenarios by their labels."""
        return {each.label: each for each in self.manifest.plan.scenarios}

    @property
    def variants(self) -> dict[str, Variant]:
        """The variants by their labels."""
        return {each.label: each for each in self.manifest.plan.variants}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings(Analysed):
    """What is known of a run.

    Parameters
    ----------
    verdicts : one per scenario, in the order of the comparisons.
    curves_over : by scenario, the curves over one knob.
    recorded : what extensions recorded, by the file of the run's folder.
    earlier : what other runs know of other variants, where one alone was measured.
    damage : files of the run that could not be read, in words.
    pace_map : where the run was a map.
    figures : by scenario and name.
    """

    verdicts: Sequence[Verdict]
    curves_over: Mapping[str, Sequence[KnobCurve]] = field(default_factory=dict)
    recorded: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    earlier: Sequence[Earlier] = ()
    damage: Sequence[str] = ()
    pace_map: PaceMap | None = None
    figures: Figures = field(default_factory=dict)

    @property
    def overloads(self) -> list[ScenarioFindings]:
        """The findings of scenarios with an overload."""
        return [each.findings for each in self.comparisons if each.findings.overloads]

    @property
    def shown(self) -> list[tuple[Comparison, Verdict]]:
        """The scenarios that have a section of their own."""
        asked = self.asked
        return [
            (comparison, verdict)
            for comparison, verdict in zip(self.comparisons, self.verdicts, strict=True)
            if not asked[comparison.scenario].aside
        ]
