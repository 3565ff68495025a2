"""Tables -> every figure of a report, as SVG text; a module for each kind of figure.

It reads no files and computes no statistics.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from matplotlib import rc_context

from asyncdb_bench.analysis.comparison import Comparison
from asyncdb_bench.analysis.curves import Course, PercentileCurve
from asyncdb_bench.analysis.knob_curve import KnobCurve
from asyncdb_bench.analysis.pace_map import PaceMap
from asyncdb_bench.records.plan import PlannedScenario
from asyncdb_bench.records.run import Manifest
from asyncdb_bench.report.axes import STYLE, Drawing, Looks
from asyncdb_bench.report.figures.latency import course, latency_figure, percentile_figure
from asyncdb_bench.report.figures.overload import overload_figure
from asyncdb_bench.report.figures.pace_map import draw_map, knob_curve
from asyncdb_bench.report.figures.ratios import ratios
from asyncdb_bench.report.figures.where import where

Curves = Mapping[tuple[str, str], PercentileCurve]
MAP = ""
"""Stands for the scenario of the map, which is of all."""

Courses = Mapping[tuple[str, str], Mapping[str, Course]]


def draw_figures(
    manifest: Manifest,
    comparisons: Sequence[Comparison],
    curves: Curves,
    curves_over: Mapping[str, Sequence[KnobCurve]],
    courses: Courses,
    pace_map: PaceMap | None = None,
) -> dict[str, dict[str, Drawing]]:
    """Draw every figure.

    Parameters
    ----------
    manifest : for the variants' colours and the objectives.
    comparisons : one per scenario.
    curves : percentile curves by scenario and variant.
    curves_over : by scenario, the curves over one knob.
    courses : what was felt and what waited over time, by scenario and variant.
    pace_map : the map, where there is one; its figure is ``map`` of the scenario :data:`MAP`.

    Returns
    -------
    By scenario: ``latency``, ``percentiles``, ``course``, ``where``, ``knob0`` and so on, those for
    which there is data; of no scenario: ``ratios``, and the map.
    """
    looks = Looks([each.label for each in manifest.plan.variants])
    asked = {each.label: each for each in manifest.plan.scenarios}
    drawn: dict[str, dict[str, Drawing]] = {}
    with rc_context(STYLE), warnings.catch_warnings():
        # the font that measures the labels has no glyph for every script; the reader's has
        warnings.filterwarnings("ignore", message="Glyph")
        for each in comparisons:
            of = each.scenario
            overload = asked[of].overload
            if overload is not None and each.findings.overloads:
                drawn[of] = {"overload": overload_figure(each, overload, looks)}
            if each.points.empty or asked[of].aside:
                continue
            mine = {name: curves[of, name] for name in each.capacities if (of, name) in curves}
            felt = {name: courses[of, name] for name in each.capacities if (of, name) in courses}
            found = _of_one(each, asked[of], mine, felt, looks)
            for place, curve in enumerate(curves_over[of]):
                found[f"knob{place}"] = knob_curve(curve, of)
            drawn[of] = drawn.get(of, {}) | found
        whole = ratios([each for each in comparisons if not asked[each.scenario].aside], looks)
        of_all = {"ratios": whole} if whole is not None else {}
        if pace_map is not None:
            of_all["map"] = draw_map(pace_map, looks)
        if of_all:
            drawn[MAP] = of_all
    return drawn


def _of_one(
    each: Comparison,
    asked: PlannedScenario,
    curves: Mapping[str, PercentileCurve],
    felt: Mapping[str, Mapping[str, Course]],
    looks: Looks,
) -> dict[str, Drawing]:
    """Draw one scenario's figures, in the order of the page."""
    found: dict[str, Drawing | None] = {"latency": latency_figure(each, asked, looks)}
    if curves:
        found["percentiles"] = percentile_figure(each, curves, looks)
    if felt:
        found["course"] = course(felt, each.scenario, each.common_rps or 0, looks)
    if each.capacities:
        found["where"] = where(each, looks)
    return {name: drawing for name, drawing in found.items() if drawing is not None}
