"""The map of a sweep and the curve over a knob -> figures."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator

from asyncdb_bench.analysis.crossover_map import CrossoverMap, MapCell
from asyncdb_bench.analysis.knob_curve import KnobCurve
from asyncdb_bench.report.axes import Looks, legend, log_axis
from asyncdb_bench.report.drawing import COLOURS, INK, Drawing, FigureData, drawing
from asyncdb_bench.text import number


def crossover(found: CrossoverMap, looks: Looks) -> Drawing:
    """Draw the map: each cell in its best variant's colour; ties hatched, unsound cells white."""
    times = sorted({cell.ms for cell in found.cells})
    sizes = sorted({cell.rows for cell in found.cells})
    figure = Figure(
        figsize=(1.2 + 1.55 * len(times), 1.1 + 0.95 * len(sizes)), layout="constrained"
    )
    axes = figure.add_subplot()
    for cell in found.cells:
        x, y = times.index(cell.ms), sizes.index(cell.rows)
        top = cell.best[0] if cell.best else ""
        colour = looks.of(top)["color"] if cell.sound else "none"
        axes.add_patch(
            Rectangle(
                (x, y), 1, 1, facecolor=colour, alpha=0.35, edgecolor=INK,
                hatch="//" if cell.tie and cell.sound else None, linewidth=0.8,
            )
        )  # fmt: skip
        axes.text(x + 0.5, y + 0.5, cell_text(cell), ha="center", va="center", fontsize=7.5)
    axes.set_xlim(0, len(times))
    axes.set_ylim(0, len(sizes))
    axes.set_xticks([each + 0.5 for each in range(len(times))], [f"{each:g}" for each in times])
    axes.set_yticks([each + 0.5 for each in range(len(sizes))], [f"{each:,}" for each in sizes])
    axes.grid(visible=False)
    axes.set_xlabel("time of the query in the database, ms")
    axes.set_ylabel("rows returned")
    text = "the map: " + "; ".join(
        f"{cell.ms:g} ms, {cell.rows} rows: {cell_text(cell).replace(chr(10), ' ')}"
        for cell in found.cells
    )
    rows = tuple(
        (f"{cell.ms:g}", f"{cell.rows}", cell_text(cell).replace("\n", " ")) for cell in found.cells
    )
    return drawing(figure, "map", text, FigureData(("query, ms", "rows", "best"), rows))


def cell_text(cell: MapCell) -> str:
    """Return what a cell says: who, how much, and the loop lag that it costs."""
    if not cell.sound:
        return "not sound" if cell.best else "none"
    top = max(cell.best, key=lambda name: cell.capacities[name].rps)
    lines = [" = ".join(cell.best[:2]) + (" = …" if len(cell.best) > 2 else "")]
    if len(lines[0]) > 20:
        lines = [*[f"{name} =" for name in cell.best[:-1]][:2], cell.best[-1]]
    carried = cell.capacities[top]
    lines.append(f"{'≥ ' if carried.open_ended else ''}{carried.rps:,.0f}/s")
    lag = cell.loop_lag_ms.get(top, float("nan"))
    return "\n".join([*lines, f"lag {lag:.2g} ms"])


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
