"""Tables, sentences and figures -> one HTML page. Computes nothing; escapes everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from asyncdb_bench.analysis import Comparison
from asyncdb_bench.claims import Claim
from asyncdb_bench.fault import label as fault_label
from asyncdb_bench.knobcurve import KnobCurve
from asyncdb_bench.model import PROBE_EVERY_S, Deployment, Manifest, Step, TrialEnd, Variant
from asyncdb_bench.phases import PHASES
from asyncdb_bench.report.drawing import Drawing, svg_markup
from asyncdb_bench.sweep import Map, is_cell
from asyncdb_bench.verdict import Verdict, rate


@dataclass(frozen=True, slots=True)
class Findings:
    """What the analysis found.

    Parameters
    ----------
    comparisons, verdicts : one per scenario, in the same order.
    curves_over : by scenario, the curves over one knob.
    found_map : where the run was a sweep.
    deployments : what each variant takes to deploy, where that was measured.
    claims : of 2017, where the run has the variants of that time.
    """

    comparisons: Sequence[Comparison]
    verdicts: Sequence[Verdict]
    curves_over: Mapping[str, Sequence[KnobCurve]]
    found_map: Map | None
    deployments: Sequence[Deployment] = ()
    claims: Sequence[Claim] = ()


def render(
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
    environment.filters |= {"share": share, "svg": svg_markup}
    records = [step for step in offered if not step.repeated]
    asked = {each.label: each for each in manifest.plan.scenarios}
    planned, done = len(manifest.plan.trials), sum(not end.failure for end in ends)
    return environment.get_template("report.html.j2").render(
        manifest=manifest,
        plan=manifest.plan,
        sections=[
            (comparison, verdict)
            for comparison, verdict in zip(comparisons, findings.verdicts, strict=True)
            if not is_cell(asked[comparison.scenario])
        ],
        found_map=findings.found_map,
        deployments=findings.deployments,
        under_load=under_load(records),
        claims=findings.claims,
        asked=asked,
        figures=figures,
        curves_over=findings.curves_over,
        fairness=fairness(manifest, steps, records, ends),
        resources=resources(records, comparisons),
        waited=waited(records, comparisons),
        felt=felt(records, comparisons),
        phase_names=PHASES,
        outages=[step for step in records if step.outages],
        unsteady=[row for row in steps.itertuples() if not row.steady],
        notes=notes(manifest, ends, records),
        repeated=[step for step in offered if step.repeated],
        probe_every_ms=round(PROBE_EVERY_S * 1000),
        failures=[end for end in ends if end.failure],
        invalid=[row for row in steps.itertuples() if not row.valid],
        planned=planned,
        done=done,
        rate=rate,
        repeat=repeat_command(manifest),
        total=int(steps.requests.sum()) if len(steps) else 0,
    )


def templates() -> Environment:
    """Return the pages' templates: everything is escaped, a name that is missing is an error."""
    environment = Environment(
        loader=PackageLoader("asyncdb_bench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment


def repeat_command(manifest: Manifest) -> str:
    """Return the command that asks for the same again, with the same arrivals."""
    plan = manifest.plan
    twins = [each.fault for each in plan.variants if each.fault is not None]
    strategies = ",".join(
        _request(_source(each), each.label) for each in plan.variants if each.fault is None
    )
    scenarios = ",".join(_request(each.scenario, each.label) for each in plan.scenarios)
    return (
        f"bench.py run --profile {plan.settings.profile} --strategy {strategies}"
        f" --scenario {scenarios} --seed {manifest.seed} --blocks {plan.settings.blocks}"
        f" --budget {plan.settings.budget}"
    ) + (f" --inject {fault_label(twins[0])}" if twins else "")


def _source(variant: Variant) -> str:
    return f"{variant.strategy}@{variant.elsewhere.path}" if variant.elsewhere else variant.strategy


def _request(name: str, label: str) -> str:
    """Return what was typed: the label's knobs after the full name, without an A/A's number."""
    knobs = label.partition("#")[0].partition(":")[2]
    return f"{name}:{knobs}" if knobs else name


def notes(
    manifest: Manifest, ends: Sequence[TrialEnd], records: Sequence[Step]
) -> list[tuple[str, list[str]]]:
    """Return circumstances that a reader should know, and where each applied."""
    found: dict[str, list[str]] = {note: [] for note in manifest.notes}
    if manifest.pinning.problem:
        found[manifest.pinning.problem] = []
    for step in records:
        for note in step.notes:
            if not note.startswith("not steady"):
                where = f"{step.scenario} · {step.variant} at {step.offered_rps:g}/s"
                found.setdefault(note, []).append(where)
    for end in ends:
        for note in (*end.notes, *end.reasons):
            found.setdefault(note, []).append(f"{end.scenario} · {end.variant}")
    return [(note, list(dict.fromkeys(where))) for note, where in found.items()]


def steps_compared(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> Iterator[tuple[str, str, list[Step]]]:
    """Yield scenario, variant and its steps at the common load, one per block."""
    for comparison in comparisons:
        for variant in comparison.rows.index:
            place = (comparison.scenario, variant, comparison.common_rps)
            own = [s for s in records if (s.scenario, s.variant, s.offered_rps) == place]
            yield comparison.scenario, variant, own


def resources(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> dict[str, list[dict[str, Any]]]:
    """Return what each role used at the common load, by scenario; means over blocks."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario, variant, own in steps_compared(records, comparisons):
        answered = [step for step in own if step.ledger.ok]
        if answered:
            found.setdefault(scenario, []).append({"variant": variant} | _resources_of(answered))
    return found


def _resources_of(steps: Sequence[Step]) -> dict[str, Any]:
    answers = sum(step.ledger.ok for step in steps)
    roles = [role for role in ROLES if any(role in step.usage for step in steps)]
    used = {role: [step.usage[role] for step in steps if role in step.usage] for role in roles}
    wire = {name: sum(step.wire.get(name, 0) for step in steps) / answers for name in WIRE}
    return {
        "cpu": {role: sum(u.cpu_s for u in each) * 1000 / answers for role, each in used.items()},
        "switches": {
            role: sum(u.switches for u in each if u.switches is not None) / answers
            if any(u.switches is not None for u in each)
            else None
            for role, each in used.items()
        },
        "rss": {role: max(u.rss_mb for u in each) for role, each in used.items()},
        "wire": {name: value for name, value in wire.items() if value},
    }


def waited(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> dict[str, list[dict[str, Any]]]:
    """Return what waited at the common load, by scenario: surges, and queues of tasks."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario, variant, own in steps_compared(records, comparisons):
        # the worst of the blocks, whole: a mean of peaks would be nobody's
        worst = max(own, key=_peak, default=None)
        if worst is not None and worst.backlog is not None:
            found.setdefault(scenario, []).append(
                {"variant": variant, "backlog": worst.backlog, "tasks": worst.tasks}
            )
    return found


def felt(
    records: Sequence[Step], comparisons: Sequence[Comparison]
) -> dict[str, list[dict[str, Any]]]:
    """Return what the members of a chat felt at the common load, by scenario; worst block."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario, variant, own in steps_compared(records, comparisons):
        chats = [step.chat for step in own if step.chat is not None]
        if chats:
            worst = max(chats, key=lambda chat: (chat.frozen_s, chat.delivery.p99_ms or 0))
            found.setdefault(scenario, []).append({"variant": variant, "chat": worst})
    return found


def under_load(records: Sequence[Step]) -> dict[str, float]:
    """Return the most memory that each variant's processes and broker used in any step, MB."""
    found: dict[str, float] = {}
    for step in records:
        roles = [step.usage[role] for role in ("app", "workers") if role in step.usage]
        if step.tasks is not None and "broker" in step.usage:
            roles.append(step.usage["broker"])
        used = sum(each.rss_mb if each.pss_mb is None else each.pss_mb for each in roles)
        found[step.variant] = max(found.get(step.variant, 0.0), used)
    return found


def _peak(step: Step) -> int:
    return step.backlog.peak if step.backlog else 0


ROLES = ("app", "workers", "broker", "postgresql", "load")
WIRE = ("client_sent", "client_received", "loopback")


def counted(records: Sequence[Step], ends: Sequence[TrialEnd]) -> dict[str, Any]:
    """Return what the database counted for some steps and trials beside what was expected."""
    audits = [step.audit for step in records if step.audit is not None]
    rows = [each for each in audits if each.rows is not None and each.rows_least is not None]
    whole = [end.audit for end in ends if end.audit is not None]
    known = [each for each in whole if each.transactions is not None]
    return {
        "rows": sum(each.rows or 0 for each in rows) if rows else None,
        "rows_expected": _range(
            sum(each.rows_least or 0 for each in rows), sum(each.rows_most or 0 for each in rows)
        ),
        "transactions": sum(each.transactions or 0 for each in known) if known else None,
        "transactions_expected": _range(
            sum(each.transactions_least for each in known),
            sum(each.transactions_most for each in known),
        ),
    }


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def fairness(
    manifest: Manifest,
    steps: pd.DataFrame,
    records: Sequence[Step],
    ends: Sequence[TrialEnd],
) -> list[dict[str, Any]]:
    """Return what each variant was given, as declared and as seen."""
    rows = []
    for variant in manifest.plan.variants:
        own = steps[steps.variant == variant.label]
        peak, active = own.connections_peak.dropna(), own.connections_active_peak.dropna()
        rows.append(
            {
                "variant": variant,
                "peak": int(peak.max()) if len(peak) else None,
                "active": int(active.max()) if len(active) else None,
                "memory_mb": float(own.memory_mb.max()) if len(own) else None,
                "counted": counted(
                    [step for step in records if step.variant == variant.label],
                    [end for end in ends if end.variant == variant.label],
                ),
                "knobs": ", ".join(f"{key}={value}" for key, value in variant.knobs.items()),
                "parts": ", ".join(f"{n} x {role}" for role, n in variant.parts.items()),
            }
        )
    return rows


def number(value: Any, digits: int = 3) -> str:
    """Return a figure with as many digits as it deserves; a dash where there is none."""
    if value is None or pd.isna(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def share(value: Any) -> str:
    """Return a share as a percentage."""
    if value is None or pd.isna(value):
        return "–"
    return "0" if value == 0 else f"{value:.2%}"
