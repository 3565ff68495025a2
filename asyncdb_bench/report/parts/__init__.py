"""Findings -> the whole document, in the order of the page; a module for each part of it.

In: comparisons, verdicts, maps, records. Out: :class:`asyncdb_bench.report.document.Document`.
"""

from __future__ import annotations

from asyncdb_bench.records.plan import Plan
from asyncdb_bench.report.document import Document, Section
from asyncdb_bench.report.findings import Findings
from asyncdb_bench.report.parts.compared import compared_scenarios
from asyncdb_bench.report.parts.decision import case_section, decision_section
from asyncdb_bench.report.parts.doubts import doubts_section
from asyncdb_bench.report.parts.environment import environment_section, guide_section, raw_section
from asyncdb_bench.report.parts.fairness import applications_section, fairness_section
from asyncdb_bench.report.parts.maps import map_section
from asyncdb_bench.report.parts.scenario import scenario_section


def make_document(found: Findings) -> Document:
    """Return the report of a run as data."""
    manifest, plan = found.manifest, found.manifest.plan
    total = int(found.steps.requests.sum()) if len(found.steps) else 0
    machine = manifest.machine
    foreign = all(each.target is not None for each in plan.variants)
    sections: list[Section | None] = [
        decision_section(found),
        case_section(found),
        map_section(found),
        *(
            scenario_section(found, place, comparison, verdict)
            for place, (comparison, verdict) in enumerate(found.shown, start=1)
        ),
        applications_section(found) if foreign else fairness_section(found),
        doubts_section(found),
        environment_section(found),
        guide_section(overload=any(each.overload for each in plan.scenarios)),
        raw_section(manifest),
    ]
    return Document(
        title=title_of(plan),
        lead=f"Run {manifest.run_id} · {manifest.started_at} · profile {plan.settings.profile} ·"
        f" {total:,} requests on {machine['cpu']}, {machine['cores']} cores",
        sections=tuple(each for each in sections if each is not None),
        alerts=tuple(_alerts(found)),
        variants=tuple(each.label for each in plan.variants),
        compared=compared_scenarios(found),
    )


def title_of(plan: Plan) -> str:
    """Return the question that a run answers."""
    if all(each.target is None for each in plan.variants):
        return "How should this Tornado application call its database?"
    if len(plan.variants) == 1:
        return "What does this application carry?"
    return "Which of these applications is faster?"


def _alerts(found: Findings) -> list[str]:
    planned = len(found.manifest.plan.trials)
    done = sum(not end.failure for end in found.ends)
    alerts = []
    if done < planned:
        alerts.append(
            f"incomplete: {done} of {planned} trials were measured to their end; what follows is"
            " about those"
        )
    elif not found.ends:
        # a run that was killed has not written down which trials it had begun
        alerts.append(
            "incomplete: no launch was measured to its end; what follows is about what had been"
            " measured until then"
        )
    alerts += [
        f"damaged: {each}. The figures that need it are missing; all else rests on steps.jsonl"
        for each in found.damage
    ]
    return alerts
