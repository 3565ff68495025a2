"""Tables, sentences and figures -> one HTML page. Computes nothing; escapes everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from asyncdb_bench.analysis import Comparison
from asyncdb_bench.model import Manifest, TrialEnd
from asyncdb_bench.report.figures import Drawing
from asyncdb_bench.verdict import Verdict, rate


def render(
    manifest: Manifest,
    steps: pd.DataFrame,
    comparisons: Sequence[Comparison],
    verdicts: Sequence[Verdict],
    figures: Mapping[str, Mapping[str, Drawing]],
    ends: Sequence[TrialEnd],
) -> str:
    """Return the report as one self-contained HTML page.

    Parameters
    ----------
    manifest, steps, ends : of the run.
    comparisons, verdicts : one per scenario, in the same order.
    figures : by scenario and name.
    """
    environment = Environment(
        loader=PackageLoader("asyncdb_bench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "share": share, "svg": svg}
    planned, done = len(manifest.plan.trials), sum(not end.failure for end in ends)
    return environment.get_template("report.html.j2").render(
        manifest=manifest,
        plan=manifest.plan,
        sections=list(zip(comparisons, verdicts, strict=True)),
        asked={each.label: each for each in manifest.plan.scenarios},
        figures=figures,
        fairness=fairness(manifest, steps),
        failures=[end for end in ends if end.failure],
        invalid=[row for row in steps.itertuples() if not row.valid],
        planned=planned,
        done=done,
        rate=rate,
        repeat=repeat_command(manifest),
        total=int(steps.requests.sum()) if len(steps) else 0,
    )


def repeat_command(manifest: Manifest) -> str:
    """Return the command that asks for the same again, with the same arrivals."""
    plan = manifest.plan
    strategies = ",".join(_request(each.strategy, each.label) for each in plan.variants)
    scenarios = ",".join(_request(each.scenario, each.label) for each in plan.scenarios)
    return (
        f"bench.py run --profile {plan.settings.profile} --strategy {strategies}"
        f" --scenario {scenarios} --seed {manifest.seed} --blocks {plan.settings.blocks}"
        f" --budget {plan.settings.budget}"
    )


def _request(name: str, label: str) -> str:
    """Return what was typed: the label's knobs after the full name, without an A/A's number."""
    knobs = label.partition("#")[0].partition(":")[2]
    return f"{name}:{knobs}" if knobs else name


def fairness(manifest: Manifest, steps: pd.DataFrame) -> list[dict[str, Any]]:
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


def svg(drawing: Drawing) -> Markup:
    """Mark a figure of ours as safe to put into the page; its texts were escaped when drawn."""
    return Markup(drawing.svg)  # noqa: S704
