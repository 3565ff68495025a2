"""The curve over a knob -> a figure."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from asyncdb_bench.analysis.knob_curve import KnobCurve
from asyncdb_bench.report.axes import legend, log_axis
from asyncdb_bench.report.drawing import COLOURS, INK, Drawing, FigureData, drawing
from asyncdb_bench.text import number


def knob_curve(curve: KnobCurve, scenario: str) -> Drawing:
    """Draw capacity with its ceiling, and below it p99 and loop lag, against one knob."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    values = [each.value for each in curve.points]
    carried = [each.capacity.rps for each in curve.points]
    upper.plot(values, carried, color=COLOURS[0], marker="o", label="capacity")
    for point in curve.points:
        high = point.capacity.high if point.capacity.high is not None else point.capacity.rps
        upper.plot([point.value] * 2, [point.capacity.low, high], color=COLOURS[0], linewidth=1.2)
        if not point.sound:
            upper.plot(point.value, point.capacity.rps, "o", color="none", mec=COLOURS[0], ms=10)
    known = [(each.value, each.ceiling_rps) for each in curve.points if each.ceiling_rps]
    if known:
        at, tops = zip(*known, strict=True)
        upper.plot(at, tops, color=INK, linestyle="--", marker="_", label="ceiling by theory")
    if curve.recommended is not None:
        upper.axvline(curve.recommended.value, color=COLOURS[2], linewidth=1.2, label="recommended")
    upper.set_ylim(bottom=0)
    upper.set_ylabel("capacity, requests/s")
    legend(upper)
    latencies = [each.p99_ms for each in curve.points]
    lags = [each.loop_lag_p99_ms for each in curve.points]
    lower.plot(values, latencies, color=COLOURS[1], marker="s", label="latency p99")
    lower.plot(values, lags, color=COLOURS[3], marker="^", linestyle=":", label="loop lag p99")
    log_axis(lower.yaxis, lower, "y", [*latencies, *lags])
    lower.set_ylabel("ms (log)")
    legend(lower)
    lower.set_xscale("log", base=2)
    lower.set_xticks(values, [f"{value:g}" for value in values])
    lower.xaxis.set_minor_locator(NullLocator())
    lower.set_xlabel(f"{curve.name}:{curve.knob} (log)")
    listed = ", ".join(f"{each.value:g}: {each.capacity.rps:,.0f}/s" for each in curve.points)
    text = f"{scenario}: capacity of {curve.name} against {curve.knob}: {listed}"
    rows = tuple(
        (
            f"{each.value:g}",
            number(each.capacity.rps),
            "–" if each.ceiling_rps is None else number(each.ceiling_rps),
            "" if each.sound else "invalid",
        )
        for each in curve.points
    )
    columns = (curve.knob, "capacity, 1/s", "ceiling, 1/s", "doubts")
    return drawing(
        figure, f"knob-{curve.name}-{curve.knob}-{scenario}", text, FigureData(columns, rows)
    )
