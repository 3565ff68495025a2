"""All that a report is made of: a run, what was analysed of it, and its figures' words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.knob_curve import KnobCurve
from asyncdb_bench.analysis.pace_map import PaceMap
from asyncdb_bench.analysis.standing import standing
from asyncdb_bench.analysis.verdict import Verdict
from asyncdb_bench.records.plan import PlannedScenario, Variant
from asyncdb_bench.records.run import Deployment, Manifest
from asyncdb_bench.records.step import Step, TrialEnd
from asyncdb_bench.report.earlier import Earlier

if TYPE_CHECKING:
    from asyncdb_bench.report.drawing import Drawing

Figures = Mapping[str, Mapping[str, "Drawing"]]


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a run.

    Parameters
    ----------
    manifest, steps, ends : of the run.
    offered : its steps.
    comparisons, verdicts : one per scenario, in the same order.
    curves_over : by scenario, the curves over one knob.
    deployments : what each variant takes to deploy, where that was measured.
    earlier : what other runs know of other variants, where one alone was measured.
    damage : files of the run that could not be read, in words.
    pace_map : where the run was a map.
    figures : by scenario and name.
    """

    manifest: Manifest
    steps: pd.DataFrame
    ends: Sequence[TrialEnd]
    offered: Sequence[Step]
    comparisons: Sequence[Comparison]
    verdicts: Sequence[Verdict]
    curves_over: Mapping[str, Sequence[KnobCurve]] = field(default_factory=dict)
    deployments: Sequence[Deployment] = ()
    earlier: Sequence[Earlier] = ()
    damage: Sequence[str] = ()
    pace_map: PaceMap | None = None
    figures: Figures = field(default_factory=dict)

    @property
    def asked(self) -> dict[str, PlannedScenario]:
        """The scenarios by their labels."""
        return {each.label: each for each in self.manifest.plan.scenarios}

    @property
    def variants(self) -> dict[str, Variant]:
        """The variants by their labels."""
        return {each.label: each for each in self.manifest.plan.variants}

    @property
    def records(self) -> list[Step]:
        """The steps that stand."""
        return standing(self.offered, self.ends)

    @property
    def shown(self) -> list[tuple[Comparison, Verdict]]:
        """The scenarios that have a section of their own."""
        asked = self.asked
        return [
            (comparison, verdict)
            for comparison, verdict in zip(self.comparisons, self.verdicts, strict=True)
            if not asked[comparison.scenario].aside
        ]
