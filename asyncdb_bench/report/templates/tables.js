// What has its usual value is left out of the data.
DATA.compared = DATA.compared.map((each) => ({ base: "", pairs: {}, curves: [], levels: {}, objective_ms: 0, ...each }));

const make = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};
const textOf = (cell) => {
  const whole = cell.cloneNode(true);
  for (const small of whole.querySelectorAll("small")) small.replaceWith(` (${small.textContent})`);
  for (const line of whole.querySelectorAll("br")) line.replaceWith(" ");
  return whole.textContent.replace(/\s+/g, " ").trim();
};

// Sorting: a figure by its number, a text by its letters; what has no value stays at the end.
const valueOf = (row, column) => {
  const cell = row.cells[column];
  if (!cell) return null;
  const first = cell.cloneNode(true);
  for (const small of first.querySelectorAll("small")) small.remove();
  const text = first.textContent.trim();
  if (text === "" || text === "–") return null;
  const found = text.replace(/,(?=\d{3})/g, "").match(/^[≥<\s]*(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/i);
  return found ? Number(found[1]) : text.toLowerCase();
};
const compare = (a, b) => {
  if (a === null || b === null) return a === b ? 0 : a === null ? 2 : -2;
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
};
const sortBy = (table, header, column) => {
  const up = header.getAttribute("aria-sort") !== "ascending";
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [row, valueOf(row, column)]);
  rows.sort(([, a], [, b]) => {
    const order = compare(a, b);
    return Math.abs(order) === 2 ? order : up ? order : -order;
  });
  body.append(...rows.map(([row]) => row));
};

const markdown = (table) => {
  const line = (cells) => `| ${cells.map((cell) => textOf(cell).replace(/\|/g, "\\|")).join(" | ")} |`;
  const shown = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  const head = [...table.tHead.rows[0].cells];
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...shown.map((row) => line([...row.cells]))].join("\n");
};
const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", "");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
};

const withTools = (table) => {
  if (!table.tHead || !table.tBodies[0] || table.closest(".decision")) return;
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const title = textOf(header);
    const button = make("button", "", { type: "button", class: "sort", "aria-label": `Sort by ${title}` });
    const unit = header.querySelector("small");
    header.insertBefore(button, unit);
    button.addEventListener("click", () => sortBy(table, header, column));
  });
  const button = make("button", "Copy as Markdown", { type: "button", class: "small copy" });
  button.addEventListener("click", async () => {
    await copy(markdown(table));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy as Markdown"; }, 1500);
  });
  (table.closest(".wide") ?? table).after(button);
};
for (const table of document.querySelectorAll("table")) withTools(table);

// Tables for those who ask: without this script they stand in the page.
for (const hidden of document.querySelectorAll("noscript[data-title]")) {
  const title = hidden.dataset.title;
  const button = make("button", `Show ${title}`, { type: "button", class: "small data", "aria-expanded": "false" });
  const holder = make("div", "", { class: "shown", hidden: "" });
  hidden.before(button, holder);
  button.addEventListener("click", () => {
    if (!holder.hasChildNodes()) {
      holder.innerHTML = hidden.textContent;
      for (const table of holder.querySelectorAll("table")) withTools(table);
      for (const row of holder.querySelectorAll("tr[data-variant]")) highlights(row, row.dataset.variant);
    }
    holder.hidden = !holder.hidden;
    button.setAttribute("aria-expanded", String(!holder.hidden));
    button.textContent = `${holder.hidden ? "Show" : "Hide"} ${title}`;
  });
}

// Hover: the mark nearest to the pointer tells its value.
const tip = make("div", "", { id: "tip", role: "status", hidden: "" });
document.body.append(tip);
const tips = (svg) => {
  const points = [...svg.querySelectorAll("[data-variant] title")].map((title) => {
    const point = { mark: title.parentNode, text: title.textContent };
    title.remove();
    return point;
  });
  if (!points.length) return;
  svg.addEventListener("pointermove", (event) => {
    let best = null;
    let least = 18;
    for (const { mark, text } of points) {
      const box = mark.getBoundingClientRect();
      if (!box.width) continue;
      const far = Math.hypot(
        Math.max(box.left - event.clientX, 0, event.clientX - box.right),
        Math.max(box.top - event.clientY, 0, event.clientY - box.bottom),
      );
      if (far < least) [least, best] = [far, text];
    }
    tip.hidden = best === null;
    if (best === null) return;
    tip.textContent = best;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, room))}px`;
    tip.style.top = `${event.clientY + 18}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
};
for (const svg of document.querySelectorAll("figure svg")) tips(svg);
