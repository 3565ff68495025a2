// The reader's own case: the reckoning of asyncdb_bench/analysis/advice.py and pace_model.py, in the
// same order and words; a test holds the two against each other.
const AXES = ["rtt_ms", "queries", "ms", "rows"];
const TIMES = ["rtt_ms", "ms"];
const AXIS_WORDS = { rtt_ms: "round trip, ms", queries: "queries a request", ms: "time of a query, ms", rows: "rows of a query" };
const OFFERED = 0.3, EDGE = 0.15, EDGE_MS = 0.15, NEAR = 0.1, NEAR_MS = 0.1, FELT_MS = 10, BUSY = 0.7;

// As Python's format specification `g` writes it.
const general = (value, digits) => {
  if (value === 0) return "0";
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  const stripped = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (exponent < -4 || exponent >= digits) {
    return `${stripped(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return stripped(value.toFixed(Math.max(0, digits - 1 - exponent)));
};
const number = (value, digits = 3) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(Number(value.toPrecision(digits))) >= 100) return Number(value.toFixed(0)).toLocaleString("en-US");
  return general(value, digits);
};
const percent = (share) => `${(100 * share).toFixed(0)}%`;
const listed = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

const demandOf = (way, ask) => way.model[0] + way.model[1] * ask.queries;
const bareWait = (ask) => ask.queries * (ask.ms + ask.rtt_ms);
const waitOf = (way, ask) => way.model[2] * ask.rtt_ms + bareWait(ask) + ask.queries * way.model[3];
const meanValue = (inside, demand, wait) => {
  let queue = 0, throughput = 0;
  for (let count = 1; count <= inside; count += 1) {
    const residence = demand * (1 + queue);
    throughput = count / (residence + wait);
    queue = throughput * residence;
  }
  return throughput;
};
const paceOf = (way, ask, connections) => {
  const demand = demandOf(way, ask), wait = waitOf(way, ask);
  const inside = Math.min(way.at_once, connections), even = way.model[4];
  const bound = Math.min(1 / demand, inside / (demand + wait));
  return 1000 * Math.exp(even * Math.log(bound) + (1 - even) * Math.log(meanValue(inside, demand, wait)));
};

const outside = (ask, cells) => {
  const found = {};
  for (const axis of AXES) {
    const values = cells.map((cell) => cell[axis]);
    const low = Math.min(...values), high = Math.max(...values);
    const room = TIMES.includes(axis) ? Math.max(EDGE * high, EDGE_MS) : EDGE * high;
    if (!(Math.max(low - room, 0) <= ask[axis] && ask[axis] <= high + room)) found[axis] = [low, high];
  }
  return found;
};
const isNear = (cell, ask) => AXES.every((axis) => Math.abs(cell[axis] - ask[axis])
  <= Math.max(NEAR * Math.abs(cell[axis]), TIMES.includes(axis) ? NEAR_MS : 0));
const isCorner = (cell, ask, cells) => ["rtt_ms", "queries", "ms"].every((axis) => {
  const values = [...new Set(cells.map((each) => each[axis]))].sort((a, b) => a - b);
  const below = values.filter((each) => each <= ask[axis]).at(-1) ?? values[0];
  const above = values.find((each) => each >= ask[axis]) ?? values.at(-1);
  return cell[axis] === below || cell[axis] === above;
});
const errorNear = (way, ask, cells) => {
  const errors = cells.filter((cell) => way.name in cell.errors && isCorner(cell, ask, cells)).map((cell) => cell.errors[way.name]);
  const all = cells.filter((cell) => way.name in cell.errors).map((cell) => cell.errors[way.name]).sort((a, b) => a - b);
  if (!all.length) return Infinity;
  if (!errors.length) return all.at(-1);
  const typical = (all[Math.floor((all.length - 1) / 2)] + all[Math.floor(all.length / 2)]) / 2;
  return Math.max(typical, ...errors);
};
const estimatesOf = (known, ask) => {
  const near = known.cells.find((cell) => isNear(cell, ask));
  const found = [], silent = [];
  for (const way of known.ways) {
    if (near && way.name in near.paces) {
      const [pace, error] = near.paces[way.name];
      found.push({ way, pace, error, measured: true });
      continue;
    }
    const error = way.model.length ? errorNear(way, ask, known.cells) : Infinity;
    if (error > OFFERED) silent.push(way.name);
    else found.push({ way, pace: paceOf(way, ask, known.connections), error, measured: false });
  }
  for (const each of found) each.holds = each.pace * (1 - each.error) * each.way.share;
  return [found.sort((a, b) => b.pace - a.pace), silent];
};

const occupiedOf = (way, ask) => (way.model.length ? demandOf(way, ask) + waitOf(way, ask) : bareWait(ask));
const freezeOf = (way, ask) => (way.holds_loop ? occupiedOf(way, ask) : way.lag_ms);
const processesOf = (count) => (count === 1 ? "one process" : `${count} processes`);
const needsOf = (way, ask, eachRps) => {
  const wanted = Math.max(1, Math.ceil((eachRps * occupiedOf(way, ask)) / 1000 / BUSY - 1e-9));
  return `${way.resource}: ${wanted} would do, ${way.at_once} were measured`;
};
const measuringOf = (known, ask) => {
  const g = (value) => general(value, 6);
  const knobs = ask.rows === 1 ? `map:grid=one:queries=${g(ask.queries)}:ms=${g(ask.ms)}` : `page:queries=${g(ask.queries)}:rows=${g(ask.rows)}`;
  const more = ask.processes > 1 ? ` --vary app:processes=1,${ask.processes}` : "";
  const names = known.strategies ? ` --strategy ${known.strategies}` : "";
  return `bench.py run${names} --scenario ${knobs} --rtt ${g(ask.rtt_ms)}${more} --profile standard`;
};
const notesOf = (ask, parallel, frozen, silent) => {
  const notes = [];
  if (frozen.length) {
    const named = frozen.map((each) => `${each.way.name} (${number(freezeOf(each.way, ask))} ms)`);
    notes.push(`left out, since they freeze the loop: ${listed(named)}`);
  }
  if (ask.processes > ask.cores) notes.push("more processes than cores add nothing");
  if (parallel > 1) notes.push(`the pace of one process is multiplied by ${parallel}: not measured, and the database must keep up`);
  if (silent.length) notes.push(`not told of ${listed(silent)}: the model is off too far there`);
  return notes;
};

const impatientOf = (top, ask, parallel) => {
  const leftS = (ask.patience_ms - occupiedOf(top.way, ask)) / 1000;
  if (leftS <= 0) return null;
  const found = (top.pace - Math.log(100) / leftS) * parallel;
  return found > 0 ? found : null;
};
const patienceOf = (ask, best, parallel) => {
  if (!ask.patience_ms) return [];
  const rps = impatientOf(best[0], ask, parallel);
  const givenUp = `clients who wait ${number(ask.patience_ms)} ms give up`;
  const when = rps === null ? `${givenUp}, one in a hundred or more, at any load` : `${givenUp} from ${number(rps)}/s on, one in a hundred`;
  const shown = best.filter((each) => each.way.overload)
    .map((each) => `${each.way.name} answered ${number(each.way.overload[1], 2)} of what its pace allows in time at ${number(each.way.overload[0])} x`);
  return [when, `in an overload: ${shown.length ? listed(shown) : "not measured: bench.py run --scenario overload"}`];
};

const advise = (known, ask) => {
  const measure = measuringOf(known, ask);
  const quiet = (because) => ({ use: [], because, costs: "", sure: "not known", notes: [], measure });
  if (!known.cells.length) return quiet("this run measured no work whose requests are all alike");
  const beyond = outside(ask, known.cells);
  if (Object.keys(beyond).length) {
    const words = AXES.filter((axis) => axis in beyond).map((axis) => `${AXIS_WORDS[axis]}: ${number(ask[axis])} asked, ${number(beyond[axis][0])} to ${number(beyond[axis][1])} measured`);
    return quiet(`not measured (${words.join("; ")})`);
  }
  const [found, silent] = estimatesOf(known, ask);
  if (!found.length) return quiet(`the model is off by more than ${percent(OFFERED)} about here, so it is not offered`);
  const parallel = Math.max(1, Math.min(ask.cores, ask.processes)), eachRps = ask.rps / parallel;
  const frozen = found.filter((each) => ask.websockets && freezeOf(each.way, ask) > FELT_MS);
  const left = found.filter((each) => !frozen.includes(each));
  const carrying = left.filter((each) => each.holds >= eachRps);
  const notes = notesOf(ask, parallel, frozen, silent);
  if (!carrying.length) {
    const none = { use: [], costs: "", sure: "known", measure };
    if (!left.length) return { ...none, because: `all that were measured freeze the loop for more than ${number(FELT_MS)} ms`, notes };
    const best = left.reduce((a, b) => (b.holds > a.holds ? b : a));
    const wanted = best.holds > 0 ? Math.ceil(ask.rps / best.holds - 1e-9) : 0;
    return {
      ...none,
      because: `no way carries ${number(ask.rps)}/s on ${processesOf(parallel)} for certain: ${best.way.name} holds ${number(best.holds * parallel)}/s`,
      notes: [`${processesOf(wanted)} on as many cores would, if the database keeps up`, ...notes],
    };
  }
  const [top, ...others] = carrying;
  let rivals = others.filter((each) => each.pace * (1 + each.error) >= top.pace * (1 - top.error));
  if (!ask.celery && !top.way.broker) rivals = rivals.filter((each) => !each.way.broker);
  const how = top.measured ? "measured" : "by the model";
  let because = `${top.way.name} does ${number(top.pace)}/s ± ${percent(top.error)} ${how}, ${number(ask.rps)}/s is ${percent(eachRps / (top.pace * top.way.share))} of what holds the objective`;
  const second = others.find((each) => !rivals.includes(each));
  if (second) because += `; ${second.way.name} does ${(second.pace / top.pace).toFixed(2)} x`;
  else if (found.length === 1) because += "; of no other is anything known here";
  const parts = top.way.broker && ask.celery ? [] : top.way.parts;
  return {
    use: [top, ...rivals].map((each) => each.way.name),
    because,
    costs: parts.join(", ") || "nothing",
    sure: rivals.length || found.length === 1 ? "not known" : "known",
    notes: [needsOf(top.way, ask, eachRps), ...patienceOf(ask, [top, ...rivals], parallel), ...notes],
    measure,
  };
};

const caseForm = document.getElementById("your-case");
if (caseForm && DATA.advising) {
  const shown = document.getElementById("advice");
  const fields = { rtt: "rtt_ms", ms: "ms", queries: "queries", rows: "rows", rps: "rps", cores: "cores", processes: "processes", patience: "patience_ms" };
  const read = () => {
    const ask = { websockets: caseForm.websockets.checked, celery: caseForm.celery.checked };
    for (const [name, key] of Object.entries(fields)) {
      const field = caseForm[name];
      field.classList.toggle("out", !field.checkValidity() || field.value === "");
      ask[key] = Number(field.value);
    }
    return ask;
  };
  const fragment = () => `case=${Object.keys(fields).map((name) => `${name}:${caseForm[name].value}`).join(",")}`
    + (caseForm.websockets.checked ? ",websockets" : "") + (caseForm.celery.checked ? ",celery" : "");
  const answer = () => {
    const ask = read();
    shown.replaceChildren();
    shown.hidden = false;
    if (caseForm.querySelector(".out")) {
      shown.append(make("p", "A number is missing or out of its bounds."));
      return;
    }
    const found = advise(DATA.advising, ask);
    shown.classList.toggle("open", found.sure !== "known");
    const shape = found.sure === "known" ? "●" : "○";
    shown.append(make("p", found.use.length ? `Use ${found.use.join(" or ")}` : "No answer from this run", { class: "use" }));
    shown.append(make("p", `${found.because}.`));
    shown.append(make("p", `${shape} ${found.sure}${found.use.length > 1 ? " which of them is faster" : ""}${found.use.length ? `; it costs ${found.costs}` : ""}`, { class: "how" }));
    for (const note of found.notes) shown.append(make("p", `${note}.`, { class: "note" }));
    const line = make("p", "To measure it: ", { class: "note" });
    line.append(make("code", found.measure));
    shown.append(line);
  };
  const restore = () => {
    const given = decodeURIComponent(location.hash).match(/^#case=(.*)$/);
    if (!given) return;
    caseForm.reset();
    for (const part of given[1].split(",")) {
      const [name, value] = part.split(":");
      if (name in fields && value !== undefined) caseForm[name].value = value;
      else if (name === "websockets" || name === "celery") caseForm[name].checked = true;
    }
    answer();
    document.getElementById("case").scrollIntoView();
  };
  caseForm.hidden = false;
  document.getElementById("case-table").open = false;
  answer();
  restore();
  caseForm.addEventListener("submit", (event) => event.preventDefault());
  caseForm.addEventListener("input", () => {
    answer();
    history.replaceState(null, "", `#${fragment()}`);
  });
  addEventListener("hashchange", restore);
}
