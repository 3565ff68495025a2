"""Tables, sentences and figures -> one HTML page. Computes nothing; escapes everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from asyncdb_bench.analysis import resources as accounts
from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.crossover_map import CrossoverMap
from asyncdb_bench.analysis.distance import trip_rows
from asyncdb_bench.analysis.knob_curve import KnobCurve
from asyncdb_bench.analysis.round_trip_map import RoundTripMap
from asyncdb_bench.analysis.round_trip_words import best_words, how_sure, told
from asyncdb_bench.analysis.standing import standing
from asyncdb_bench.analysis.verdict import overall_sentence, rate
from asyncdb_bench.analysis.verdict_parts import Verdict
from asyncdb_bench.plan.faults import fault_label
from asyncdb_bench.records.run import Deployment, Manifest
from asyncdb_bench.records.sentences import sentence, sentences, unsteady
from asyncdb_bench.records.step import PROBE_EVERY_S, Step, TrialEnd
from asyncdb_bench.report import turn_words
from asyncdb_bench.report.drawing import Drawing, svg_markup
from asyncdb_bench.report.exports import against_best, ratio_bounds
from asyncdb_bench.text import counted, number, visible, warranted


@dataclass(frozen=True, slots=True)
class Findings:
    """What the analysis found.

    Parameters
    ----------
    comparisons, verdicts : one per scenario, in the same order.
    curves_over : by scenario, the curves over one knob.
    found_map : where the run was a sweep.
    deployments : what each variant takes to deploy, where that was measured.
    damage : files of the run that could not be read, in words.
    trips_map : where the run was the map of round trips.
    """

    comparisons: Sequence[Comparison]
    verdicts: Sequence[Verdict]
    curves_over: Mapping[str, Sequence[KnobCurve]]
    found_map: CrossoverMap | None
    deployments: Sequence[Deployment] = ()
    damage: Sequence[str] = ()
    trips_map: RoundTripMap | None = None


def render_report(
    manifest: Manifest,
    steps: pd.DataFrame,
    findings: Findings,
    figures: Mapping[str, Mapping[str, Drawing]],
    ends: Sequence[TrialEnd],
    offered: Sequence[Step],
) -> str:
    """Return the report as one self-contained HTML page.

    Parameters
    ----------
    manifest, steps, ends : of the run.
    offered : its steps, those that were offered again included.
    findings : of the analysis.
    figures : by scenario and name.
    """
    comparisons = findings.comparisons
    environment = templates()
    environment.filters |= {
        "share": share,
        "svg": svg_markup,
        "warranted": ranged,
        "sentence": sentence,
        "sentences": sentences,
        "unsteady": unsteady,
    }
    records = standing((step for step in offered if not step.repeated), ends)
    asked = {each.label: each for each in manifest.plan.scenarios}
    shown = [
        (comparison, verdict)
        for comparison, verdict in zip(comparisons, findings.verdicts, strict=True)
        if not asked[comparison.scenario].aside
    ]
    planned, done = len(manifest.plan.trials), sum(not end.failure for end in ends)
    return environment.get_template("report.html.j2").render(
        manifest=manifest,
        plan=manifest.plan,
        sections=shown,
        found_map=findings.found_map,
        trips_map=findings.trips_map,
        best_words=best_words,
        how_sure=how_sure,
        told=told,
        trips=trip_rows(comparisons),
        deployments=findings.deployments,
        under_load=accounts.under_load(records),
        damage=findings.damage,
        overall=overall_sentence([verdict for _, verdict in shown]),
        against_best=against_best,
        ratio_bounds=ratio_bounds,
        counted=counted,
        places={each.label: place for place, each in enumerate(manifest.plan.variants)},
        script=script(),
        asked=asked,
        figures=figures,
        curves_over=findings.curves_over,
        fairness=accounts.fairness(manifest, steps, records, ends),
        resources=accounts.resource_rows(records, comparisons),
        waited=accounts.waited(records, comparisons),
        felt=accounts.felt(records, comparisons),
        outages=[step for step in records if step.outages],
        unsteady=[row for row in steps.itertuples() if not row.steady],
        notes=accounts.notes(manifest, ends, records),
        repeated=[step for step in offered if step.repeated],
        probe_every_ms=round(PROBE_EVERY_S * 1000),
        failures=[end for end in ends if end.failure],
        invalid=[row for row in steps.itertuples() if not row.valid],
        remedies=remedies(records, ends),
        planned=planned,
        done=done,
        rate=rate,
        in_turns=any(each.turns is not None for each, _ in shown),
        climbed=any(each.turns is None for each, _ in shown),
        memory=accounts.under_load(records),
        axes=turn_words.AXES_SHOWN,
        ratio_text=turn_words.ratio_text,
        said_text=turn_words.said_text,
        beside_leader=turn_words.beside_leader,
        repeat=repeat_command(manifest),
        total=int(steps.requests.sum()) if len(steps) else 0,
    )


def remedies(records: Sequence[Step], ends: Sequence[TrialEnd]) -> list[str]:
    """Return what to do about what made steps invalid, each once."""
    steps_and_ends: list[Step | TrialEnd] = [*records, *ends]
    doubts = [doubt for each in steps_and_ends for doubt in each.reasons]
    return list(dict.fromkeys(doubt.remedy for doubt in doubts if doubt.remedy))


def templates() -> Environment:
    """Return the pages' templates: everything is escaped, a name that is missing is an error."""
    environment = Environment(
        loader=PackageLoader("asyncdb_bench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment


def script() -> Markup:
    """Return the little script that a page carries; everything can be read without it."""
    path = files("asyncdb_bench.report").joinpath("templates", "report.js")
    return Markup(path.read_text("utf-8"))  # noqa: S704 - a file of ours


def _shown(value: Any) -> Any:
    """Return what a template is to show; texts from data without what hides or turns around."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def ranged(row: Any, figure: str) -> str:
    """Return a table's figure with no more digits than its interval warrants."""
    value = row[figure]
    if value is None or pd.isna(value):
        return "–"
    return warranted(float(value), row.get(f"{figure}_low"), row.get(f"{figure}_high"))


def repeat_command(manifest: Manifest) -> str:
    """Return the command that asks for the same again, with the same arrivals."""
    plan = manifest.plan
    faults = [each.fault for each in plan.variants if each.fault is not None]
    strategies = ",".join(each.request for each in plan.variants if each.fault is None)
    scenarios = ",".join(each.request for each in plan.scenarios if not each.beside)
    settings = plan.settings
    reach = f" --rtt {settings.rtt_ms:g}"
    if settings.broker_rtt_ms:
        reach += f" --broker-rtt {settings.broker_rtt_ms:g}"
    if settings.via != "direct":
        reach += f" --via {settings.via}"
    more = " --tls" if settings.tls else ""
    more += f" --inject {fault_label(faults[0])}" if faults else ""
    return (
        f"bench.py run --profile {settings.profile} --strategy {strategies}"
        f" --scenario {scenarios} --seed {manifest.seed} --blocks {settings.blocks}"
        f" --budget {settings.budget} --time-budget {settings.time_budget_s:g}{reach}{more}"
    )


def share(value: Any) -> str:
    """Return a share as a percentage."""
    if value is None or pd.isna(value):
        return "–"
    return "0" if value == 0 else f"{value:.2%}"
