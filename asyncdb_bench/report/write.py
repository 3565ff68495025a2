"""From a run's folder to its report: read, analyse, decide, draw, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncdb_bench.analysis import Comparison, compare, summary
from asyncdb_bench.claims import claims, markdown
from asyncdb_bench.curves import COLUMNS, SERIES, percentile_curves, waiting_curves
from asyncdb_bench.knobcurve import knob_curves
from asyncdb_bench.model import Manifest, Step
from asyncdb_bench.store import RunFolder, point_latest, write_text
from asyncdb_bench.sweep import Map, is_cell, make_map
from asyncdb_bench.sweep import markdown as map_markdown
from asyncdb_bench.tables import steps_table
from asyncdb_bench.verdict import Verdict, decide


@dataclass(frozen=True, slots=True)
class Written:
    """A report: where it is and what it says."""

    path: Path
    manifest: Manifest
    comparisons: tuple[Comparison, ...]
    verdicts: tuple[Verdict, ...]
    found_map: Map | None = None

    @property
    def sound(self) -> bool:
        """Whether every verdict is, and of a map at least one cell."""
        cells = {each.label for each in self.manifest.plan.scenarios if is_cell(each)}
        others = [each.sound for each in self.verdicts if each.scenario not in cells]
        return all(others) and (self.found_map is None or self.found_map.sound)


def steps_at_common_load(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> dict[tuple[str, int], tuple[str, str]]:
    """Return scenario and variant by trial and step, for the steps that are compared."""
    loads = {each.scenario: each.common_rps for each in comparisons}
    return {
        (step.trial, step.step): (step.scenario, step.variant)
        for step in records
        if step.offered_rps == loads.get(step.scenario)
    }


def write(folder: RunFolder, reports: Path) -> Written:
    """Write ``summary.json`` into the run's folder and the report into its own.

    Parameters
    ----------
    folder : the run.
    reports : the folder of reports.

    Raises
    ------
    StoreError : the run cannot be read or the report cannot be written.
    """
    from asyncdb_bench.report.figures import draw
    from asyncdb_bench.report.page import Findings, render

    manifest, ends = folder.manifest(), folder.trials()
    offered = folder.steps()
    records = [step for step in offered if not step.repeated]
    steps = steps_table(records, ends)
    comparisons = tuple(compare(manifest, steps, ends, records))
    verdicts = tuple(decide(each, manifest.plan.settings.blocks) for each in comparisons)
    folder.write_summary(summary(steps, comparisons))
    wanted = steps_at_common_load(records, comparisons)
    curves = percentile_curves(folder.tables("requests", COLUMNS), wanted)
    curves_over = {each.scenario: knob_curves(manifest.plan.variants, each) for each in comparisons}
    surging = {each.label for each in manifest.plan.scenarios if each.shape}
    shaped = {place: name for place, name in wanted.items() if name[0] in surging}
    waits = waiting_curves(folder.tables("series", SERIES), shaped) if shaped else {}
    found_map = make_map(manifest.plan.scenarios, comparisons, steps, manifest.plan.variants)
    figures = draw(manifest, steps, comparisons, curves, curves_over, waits, found_map)
    deployments = folder.deployments()
    found_claims = claims(manifest, comparisons, records, deployments)
    findings = Findings(comparisons, verdicts, curves_over, found_map, deployments, found_claims)
    page = render(manifest, steps, findings, figures, ends, offered)
    target = reports / folder.run_id / "index.html"
    write_text(target, page)
    if found_map is not None:
        write_text(target.with_name("map.md"), map_markdown(found_map, manifest))
    if found_claims:
        write_text(target.with_name("claims.md"), markdown(found_claims, manifest))
    point_latest(reports, folder.run_id)
    return Written(target, manifest, comparisons, verdicts, found_map)
