// Figures drawn anew from the page's data: another percentile, another scale, a part of the axes.
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F"];
const colourOf = (place) => COLOURS[place % COLOURS.length];
const draw = (parent, tag, attributes = {}, text = "") => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  parent.append(made);
  return made;
};

// An axis: from values to places, with ticks in plain numbers.
const axisOf = (low, high, from, to, scale) => {
  const log = scale === "log" && low > 0;
  const f = log ? Math.log10 : (value) => value;
  const [a, b] = [f(low), f(high)];
  const place = (value) => from + ((f(value) - a) / (b - a || 1)) * (to - from);
  const value = (at) => {
    const v = a + ((at - from) / (to - from)) * (b - a);
    return log ? 10 ** v : v;
  };
  let ticks = [];
  if (log) {
    for (let power = -4; power < 8; power += 1) for (const m of [1, 2, 5]) ticks.push(m * 10 ** power);
    ticks = ticks.filter((tick) => tick >= low && tick <= high);
    if (ticks.length > 8) ticks = ticks.filter((tick) => Number.isInteger(Math.round(Math.log10(tick) * 1e6) / 1e6));
  }
  if (ticks.length < 2) {
    const step = 10 ** Math.floor(Math.log10((high - low) / 4 || 1));
    const by = [1, 2, 5, 10].map((m) => m * step).find((each) => (high - low) / each <= 6) ?? step;
    ticks = [];
    for (let tick = Math.ceil(low / by) * by; tick <= high; tick += by) ticks.push(Number(tick.toPrecision(12)));
  }
  return { place, value, ticks, log };
};

const WIDTH = 800, HEIGHT = 360, LEFT = 62, RIGHT = 640, TOP = 14, BOTTOM = 312;
const pointsOf = (compared, level) => compared.curves.flatMap((curve) => curve.loads.map((load, at) => {
  const [value, low, high] = curve.percentiles[level][at];
  return { variant: curve.variant, load, value, low, high };
}).filter((point) => point.value !== null));

// Latency by offered load of one scenario; `view` is what of it is shown: [x0, x1, y0, y1] or null.
const curvesPlot = (compared, level, scale, view, zoomed) => {
  const points = pointsOf(compared, level);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({
    class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: "0",
    "aria-label": `${compared.scenario}: ${level} by offered load, ${scale} axes. Drag, or + and - and the arrow keys, to zoom; double click or 0 for all.`,
  })) svg.setAttribute(name, value);
  if (!points.length) return svg;
  const loads = points.map((p) => p.load), values = points.flatMap((p) => [p.value, p.low, p.high]).filter((v) => v > 0);
  const linear = scale === "linear";
  const whole = [linear ? 0 : Math.min(...loads) * 0.9, Math.max(...loads) * 1.1, linear ? 0 : Math.min(...values) * 0.8, Math.max(...values) * 1.2];
  const [x0, x1, y0, y1] = view ?? whole;
  const x = axisOf(x0, x1, LEFT, RIGHT, scale), y = axisOf(y0, y1, BOTTOM, TOP, scale);
  const id = `clip-${compared.scenario.replace(/\W+/g, "-")}`;
  draw(draw(svg, "clipPath", { id }), "rect", { x: LEFT, y: TOP, width: RIGHT - LEFT, height: BOTTOM - TOP });
  for (const tick of x.ticks) {
    draw(svg, "line", { x1: x.place(tick), x2: x.place(tick), y1: TOP, y2: BOTTOM, class: "axis" });
    draw(svg, "text", { x: x.place(tick), y: BOTTOM + 16, "text-anchor": "middle" }, number(tick));
  }
  for (const tick of y.ticks) {
    draw(svg, "line", { x1: LEFT, x2: RIGHT, y1: y.place(tick), y2: y.place(tick), class: "axis" });
    draw(svg, "text", { x: LEFT - 6, y: y.place(tick) + 4, "text-anchor": "end" }, number(tick));
  }
  draw(svg, "text", { x: (LEFT + RIGHT) / 2, y: HEIGHT - 10, "text-anchor": "middle" }, `offered load, requests/s${x.log ? " (log scale)" : ""}`);
  draw(svg, "text", { transform: `translate(14 ${(TOP + BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, `${level}, ms${y.log ? " (log scale)" : ""}`);
  const inner = draw(svg, "g", { "clip-path": "url(#" + id + ")" });
  if (level === "p99" && compared.objective_ms) {
    draw(inner, "line", { x1: LEFT, x2: RIGHT, y1: y.place(compared.objective_ms), y2: y.place(compared.objective_ms), stroke: "currentColor", "stroke-dasharray": "5 4" });
  }
  compared.curves.forEach((curve, order) => {
    const variant = DATA.variants.indexOf(curve.variant), colour = colourOf(variant);
    const group = draw(inner, "g", { "data-variant": variant });
    const own = points.filter((p) => p.variant === curve.variant);
    draw(group, "polyline", { fill: "none", stroke: colour, "stroke-width": 1.8, points: own.map((p) => `${x.place(p.load)},${y.place(p.value)}`).join(" ") });
    for (const p of own) {
      if (p.low !== null && p.high !== null) draw(group, "line", { x1: x.place(p.load), x2: x.place(p.load), y1: y.place(Math.max(p.low, y0 || 1e-9)), y2: y.place(p.high), stroke: colour });
      const mark = draw(group, "circle", { cx: x.place(p.load), cy: y.place(p.value), r: 4, fill: colour });
      const bounds = p.low === null || p.high === null ? "" : ` (${number(p.low)} to ${number(p.high)})`;
      draw(mark, "title", {}, `${p.variant} at ${number(p.load)}/s: ${level} ${number(p.value)} ms${bounds}`);
    }
    const label = draw(svg, "g", { "data-variant": variant });
    draw(label, "circle", { cx: RIGHT + 16, cy: TOP + 8 + 17 * order, r: 4, fill: colour });
    draw(label, "text", { x: RIGHT + 26, y: TOP + 12 + 17 * order }, curve.variant.length > 22 ? `${curve.variant.slice(0, 21)}…` : curve.variant);
  });
  zoomable(svg, x, y, [x0, x1, y0, y1], zoomed);
  tips(svg);
  return svg;
};

// Dragging chooses a part; a finger chooses along the load alone, so that the page still scrolls.
const zoomable = (svg, x, y, [x0, x1, y0, y1], zoomed) => {
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [Math.min(RIGHT, Math.max(LEFT, point.x)), Math.min(BOTTOM, Math.max(TOP, point.y))];
  };
  let from = null, box = null;
  svg.addEventListener("pointerdown", (event) => {
    from = at(event);
    box = draw(svg, "rect", { class: "box" });
    try { svg.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
  });
  svg.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event), flat = event.pointerType === "touch";
    const sides = { x: Math.min(from[0], to[0]), y: flat ? TOP : Math.min(from[1], to[1]), width: Math.abs(to[0] - from[0]), height: flat ? BOTTOM - TOP : Math.abs(to[1] - from[1]) };
    for (const [name, value] of Object.entries(sides)) box.setAttribute(name, value);
  });
  const cancel = () => { from = null; box?.remove(); };
  svg.addEventListener("pointercancel", cancel);
  svg.addEventListener("pointerup", (event) => {
    if (!from) return;
    const start = from, to = at(event), flat = event.pointerType === "touch";
    cancel();
    if (Math.abs(to[0] - start[0]) < 8) return;
    const [a, b] = [start[0], to[0]].sort((p, q) => p - q).map(x.value);
    const tall = !flat && Math.abs(to[1] - start[1]) >= 8;
    const [c, d] = tall ? [start[1], to[1]].sort((p, q) => q - p).map(y.value) : [y0, y1];
    zoomed([a, b, c, d]);
  });
  svg.addEventListener("dblclick", () => zoomed(null));
  svg.addEventListener("keydown", (event) => {
    const part = (low, high, axis, from_, to_) => {
      const [a, b] = [axis.place(low), axis.place(high)];
      return [axis.value(a + from_ * (b - a)), axis.value(a + to_ * (b - a))];
    };
    const moves = {
      "+": () => [...part(x0, x1, x, 0.15, 0.85), ...part(y0, y1, y, 0.15, 0.85)],
      "-": () => [...part(x0, x1, x, -0.2, 1.2), ...part(y0, y1, y, -0.2, 1.2)],
      ArrowLeft: () => [...part(x0, x1, x, -0.1, 0.9), y0, y1],
      ArrowRight: () => [...part(x0, x1, x, 0.1, 1.1), y0, y1],
      ArrowDown: () => [x0, x1, ...part(y0, y1, y, -0.1, 0.9)],
      ArrowUp: () => [x0, x1, ...part(y0, y1, y, 0.1, 1.1)],
      0: () => null,
      Escape: () => null,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    zoomed(moves[event.key]());
  });
};

// All ratios beside a base that the reader chose, by scenario, the nearest first.
const ratiosPlot = (base) => {
  const groups = DATA.compared.map((each) => ({
    scenario: each.scenario,
    lines: [{ other: base, ratio: 1, low: null, high: null, said: "base" }, ...(each.pairs.pace_rps ?? []).filter((p) => p.base === base)].sort((a, b) => b.ratio - a.ratio),
  })).filter((group) => group.lines.length > 1);
  const row = 19, rows = groups.reduce((sum, group) => sum + group.lines.length + 1, 0);
  const height = 52 + row * rows, left = 118, right = 404;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ class: "plot", viewBox: `0 0 420 ${height}`, role: "img", "aria-label": `pace beside ${base}, by scenario` })) svg.setAttribute(name, value);
  const known = groups.flatMap((group) => group.lines.flatMap((line) => [line.ratio, line.low, line.high])).filter((value) => value > 0);
  const x = axisOf(Math.min(0.85, ...known) * 0.95, Math.max(1.15, ...known) * 1.05, left, right, "log");
  for (const tick of x.ticks) {
    draw(svg, "line", { x1: x.place(tick), x2: x.place(tick), y1: 6, y2: height - 42, class: "axis" });
    draw(svg, "text", { x: x.place(tick), y: height - 26, "text-anchor": "middle" }, number(tick));
  }
  draw(svg, "line", { x1: x.place(1), x2: x.place(1), y1: 6, y2: height - 42, stroke: "currentColor" });
  draw(svg, "text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, `pace beside ${base} (log scale)`);
  let at = 16;
  for (const group of groups) {
    draw(svg, "text", { x: left - 8, y: at + 4, "text-anchor": "end", "font-weight": "bold" }, group.scenario);
    at += row;
    for (const line of group.lines) {
      const variant = DATA.variants.indexOf(line.other), colour = colourOf(variant);
      const own = draw(svg, "g", { "data-variant": variant });
      draw(own, "text", { x: left - 8, y: at + 4, "text-anchor": "end" }, line.other.length > 16 ? `${line.other.slice(0, 15)}…` : line.other);
      if (line.low !== null && line.high !== null) draw(own, "line", { x1: x.place(line.low), x2: x.place(line.high), y1: at, y2: at, stroke: colour, "stroke-width": 2.5 });
      const mark = draw(own, "circle", { cx: x.place(line.ratio), cy: at, r: 4.5, fill: ["not known", "not sound"].includes(line.said) ? "none" : colour, stroke: colour, "stroke-width": 1.5 });
      draw(mark, "title", {}, `${group.scenario}: ${line.other} ${ratioWords(line)}`);
      at += row;
    }
  }
  tips(svg);
  return svg;
};
