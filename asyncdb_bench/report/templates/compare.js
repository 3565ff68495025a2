// Comparing: another base, another percentile, other axes, fewer variants, one of them highlighted.
const asRatio = (value) => (value < 10 ? value.toFixed(2) : number(value));
const ratioWords = (pair) => {
  const bounds = pair.low === null ? "" : ` (${asRatio(pair.low)} to ${asRatio(pair.high)})`;
  return `${asRatio(pair.ratio)} x${bounds}`;
};
const pairOf = (compared, base, other) => (compared.pairs.pace_rps ?? []).find((pair) => pair.base === base && pair.other === other);
const cellText = (cell, text, note) => {
  cell.textContent = text;
  if (note) cell.append(make("small", note));
};
const nameOf = (row) => DATA.variants[Number(row.dataset.variant)];

const controls = document.getElementById("filters");
const originals = new Map();
const remember = (node) => { if (!originals.has(node)) originals.set(node, [...node.childNodes]); };
// What is as it was stays untouched: to lay out a large figure again takes its time.
const giveBack = (node) => {
  const own = originals.get(node);
  if (own && own[0] !== node.firstChild) node.replaceChildren(...own);
};
const views = new Map();

const applyBase = (base) => {
  DATA.compared.forEach((compared, at) => {
    const table = document.querySelector(`#scenario-${at + 1}-table[data-role=ratios]`);
    const known = (compared.pairs.pace_rps ?? []).some((pair) => pair.base === base);
    if (!table) return;
    const title = table.tHead.rows[0].cells[2].querySelector("a, button")?.closest("th").querySelector("a") ?? table.tHead.rows[0].cells[2];
    remember(title);
    if (base && known) title.textContent = `beside ${base}`; else giveBack(title);
    for (const row of table.tBodies[0].rows) {
      const cell = row.cells[2];
      if (!cell || !row.dataset.variant || row.cells.length < 6) continue;
      remember(cell);
      if (!cell.dataset.tone) cell.dataset.tone = cell.className || "-";
      if (!base || !known) {
        giveBack(cell);
        cell.className = cell.dataset.tone === "-" ? "" : cell.dataset.tone;
        continue;
      }
      const pair = nameOf(row) === base ? { ratio: 1, low: null, said: "base" } : pairOf(compared, base, nameOf(row));
      if (!pair) cellText(cell, "not compared", "");
      else if (pair.said === "base") cellText(cell, "1", "the base");
      else cellText(cell, ratioWords(pair), pair.said);
      cell.className = { better: "good", "the same": "good", worse: "bad", "not sound": "bad" }[pair?.said] ?? "";
    }
    const because = document.querySelectorAll(".choices tbody tr")[at]?.querySelector(".because");
    if (!because) return;
    remember(because);
    const pair = base && base !== compared.base ? pairOf(compared, base, compared.base) : null;
    if (pair) because.textContent = `${compared.base} does ${ratioWords(pair)} beside ${base}, ${pair.said}`;
    else giveBack(because);
  });
  const holder = document.querySelector("figure[data-role=ratios] .wide");
  if (!holder) return;
  remember(holder);
  if (base) holder.replaceChildren(ratiosPlot(base)); else giveBack(holder);
};

const applyLevel = (level) => {
  DATA.compared.forEach((compared, at) => {
    const table = document.getElementById(`scenario-${at + 1}-table`);
    if (!table) return;
    const head = table.tHead.rows[0].cells[3], title = head.querySelector("a") ?? head;
    title.textContent = level;
    for (const row of table.tBodies[0].rows) {
      const cell = row.cells[3], found = compared.levels[level]?.[nameOf(row)];
      if (!cell || !found) continue;
      remember(cell);
      if (level === "p99") giveBack(cell); else cellText(cell, ...found);
    }
  });
};

const applyCurves = () => {
  const level = document.getElementById("level").value, scale = document.getElementById("scale").value;
  DATA.compared.forEach((compared, at) => {
    const figure = document.getElementById(`scenario-${at + 1}-latency`);
    if (!figure || !compared.curves.length) return;
    const holder = figure.querySelector(".wide"), view = views.get(figure) ?? null;
    remember(holder);
    const usual = level === "p99" && scale === "log" && !views.has(figure);
    const caption = figure.querySelector("figcaption");
    remember(caption);
    if (usual) {
      giveBack(holder);
      giveBack(caption);
      return;
    }
    caption.textContent = `${level} by offered load, with 95 % bounds where there are any.`;
    holder.replaceChildren(curvesPlot(compared, level, scale, view, (chosen) => {
      views.set(figure, chosen);
      applyCurves();
      figure.querySelector("svg.plot")?.focus({ preventScroll: true });
    }));
  });
  applyVariants();
};

const applyVariants = () => {
  const chosen = new Set([...controls.querySelectorAll("[name=variant]:checked")].map((box) => box.value));
  for (const each of document.querySelectorAll("tr[data-variant]")) each.hidden = !chosen.has(each.dataset.variant);
  for (const each of document.querySelectorAll("svg [data-variant]")) each.style.display = chosen.has(each.dataset.variant) ? "" : "none";
};

// A line highlighted by its name: in the list, in a table's row, in a figure's legend.
const highlight = (variant) => {
  for (const svg of document.querySelectorAll("figure svg")) {
    if (variant !== null && !svg.querySelector(`[data-variant="${variant}"]`)) continue;
    for (const each of svg.querySelectorAll("[data-variant]")) each.classList.toggle("faded", variant !== null && each.dataset.variant !== variant);
  }
};
const highlights = (node, variant) => {
  node.addEventListener("pointerenter", () => highlight(variant));
  node.addEventListener("pointerleave", () => highlight(null));
  node.addEventListener("focusin", () => highlight(variant));
  node.addEventListener("focusout", () => highlight(null));
};

if (controls) {
  controls.hidden = false;
  const bases = [...new Set(DATA.compared.flatMap((each) => (each.pairs.pace_rps ?? []).map((pair) => pair.base)))];
  const base = document.getElementById("base");
  for (const name of bases) base.append(make("option", name, { value: name }));
  base.parentElement.hidden = bases.length === 0;
  const apply = (event) => {
    const what = event?.target.id;
    if (!what || what === "base") applyBase(base.value);
    if (!what || what === "level") applyLevel(document.getElementById("level").value);
    if (what !== "base") applyCurves();
    else applyVariants();
  };
  controls.addEventListener("change", apply);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("reset", () => setTimeout(() => {
    views.clear();
    apply();
  }));
  for (const box of controls.querySelectorAll("[name=variant]")) highlights(box.closest("label"), box.value);
  for (const row of document.querySelectorAll("tr[data-variant]")) highlights(row, row.dataset.variant);
  for (const text of document.querySelectorAll("figure svg text")) {
    const place = DATA.variants.indexOf(text.textContent.trim());
    if (place >= 0) highlights(text, String(place));
  }
  for (const figure of document.querySelectorAll("figure[data-role=curves]")) {
    const button = make("button", "Zoom", { type: "button", class: "small zoom" });
    figure.append(button);
    button.addEventListener("click", () => {
      views.set(figure, null);
      applyCurves();
      figure.querySelector("svg.plot")?.focus();
    });
  }
}

// A link to what lies in a fold opens it; paper shows what the scenarios' folds hold.
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  target?.scrollIntoView();
};
addEventListener("hashchange", unfold);
if (location.hash && !location.hash.startsWith("#case=")) unfold();
for (const link of document.querySelectorAll("a[href^='#']")) {
  link.addEventListener("click", () => { if (link.hash === location.hash) unfold(); });
}
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("[data-scenario] > details.fold")) fold.open = true;
});
