// The table: a row per method and target, its seeds below it when unfolded. Rows are made as they
// are scrolled to, a part at a time, so that 1,800 models open at once.
const PART = 80;
const COLUMNS = [
  ["name", "Method", "Click a name for everything known of the model."],
  ["worst", "Worst case", "Images that survive both attacks; mean ± standard deviation of seeds."],
  ["tags", "Marks", "Short signs; each is explained below."],
  ["clean", "Clean", "Accuracy without an attack."],
  ["autoattack", "AutoAttack", "Accuracy after AutoAttack at the radius."],
  ["hofmn", "HO-FMN", "Images whose nearest adversarial by HO-FMN lies beyond the radius."],
  ["pgd20_best", "PGD-20", "Of the chosen epoch, and of the last."],
  ["disagreement", "Disagree", "Images on which AutoAttack and HO-FMN differ."],
  ["nonzero", "Weights", "Parameters that are not zero."],
  ["macs", "MACs", "Multiply-accumulates of one image; below, those with a weight that is not zero."],
  ["one_compact_ms", "Time", "Measured time of the compact net for one image."],
];
const shown = {columns: COLUMNS, items: [], made: 0, unfolded: new Set()};
const body = document.querySelector("#leaderboard tbody");
const frame = document.querySelector(".scroll");

function value(row, key) {
  if (key === "name") return methods[rows.method[row]].name;
  if (key === "tags") return (at(rows, "tags", row) ?? []).length || null;
  if (key === "one_compact_ms") return at(models, key, rows.models[row][0]);
  return at(rows, key, row);
}

// numbers by size, texts by alphabet, what is missing last in either direction
function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (typeof a === "string" ? a.localeCompare(b, "en") : a - b);
}

function sorted(found) {
  const direction = (state.sort === "name") === !state.up ? 1 : -1;
  const keys = new Map(found.map((row) => [row, value(row, state.sort)]));
  const lead = (row) => (state.flat ? 0 : 1 - (rows.dense?.[row] ?? 0));
  const group = (row) => (state.flat ? 0 : rows.group[row]);
  return found.sort((a, b) => group(a) - group(b) || lead(a) - lead(b)
    || compare(keys.get(a), keys.get(b), direction) || a - b);
}

function arrange() {
  let found = sorted(filtered());
  if (state.flat) {
    // a dense net stands in many groups, and once in a list
    const seen = new Set();
    found = found.filter((row) => !seen.has(rows.models[row][0]) && seen.add(rows.models[row][0]));
  }
  shown.items = [];
  let group = null;
  for (const row of found) {
    if (!state.flat && rows.group[row] !== group) {
      group = rows.group[row];
      shown.items.push({group});
    }
    shown.items.push({row});
    if (shown.unfolded.has(row)) {
      for (const model of rows.models[row]) shown.items.push({row, model});
    }
  }
  shown.made = 0;
  body.replaceChildren();
  frame.scrollTop = 0;
  more();
  const nets = new Set(found.flatMap((row) => rows.models[row]));
  document.querySelector("#filters output").textContent =
    `${nets.size} of ${count(models)} models in ${found.length} rows`;
  for (const header of document.querySelectorAll("#leaderboard thead th")) {
    const key = header.dataset.key;
    const ascending = (key === "name") === !state.up;
    header.removeAttribute("aria-sort");
    if (key === state.sort) header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  }
}

function more(all = false) {
  const end = all ? shown.items.length : Math.min(shown.made + PART, shown.items.length);
  const part = document.createDocumentFragment();
  for (; shown.made < end; shown.made++) part.append(line(shown.items[shown.made]));
  body.append(part);
}

function line(item) {
  if ("model" in item) return seedLine(item.row, item.model);
  return "row" in item ? rowLine(item.row) : groupLine(groups[item.group]);
}

function groupLine(group) {
  const place = [group.dataset, group.arch].join(" · ");
  const threat = `${group.norm}, ε = ${group.eps_text}`;
  const link = h("button", {type: "button", class: "plain", hidden: !group.radii.length, onclick: () => {
    set({group: group.stem});
    document.getElementById("curves").scrollIntoView();
  }}, "curves");
  const title = h("span", {class: "title"}, h("b", {}, place), ` ${group.title} `,
    h("small", {}, threat), " ", link);
  return h("tr", {class: "group"}, h("th", {colspan: shown.columns.length, scope: "rowgroup"}, title));
}

function rowLine(row) {
  const [method, own] = [methods[rows.method[row]], rows.models[row]];
  const several = own.length > 1;
  const open = shown.unfolded.has(row);
  const unfold = h("button", {type: "button", class: "plain unfold", "aria-expanded": String(open),
    onclick: () => fold(row)}, `${own.length} seeds`);
  const group = groups[rows.group[row]];
  const place = h("small", {}, [group.dataset, group.arch, group.title].join(", "));
  const title = rows.dense?.[row] ? h("small", {}, `${group.dataset}, ${group.arch}, dense`) : place;
  const head = h("th", {scope: "row"},
    h("button", {type: "button", class: "plain name", onclick: () => openModel(own[0])},
      symbol(method), h("bdi", {}, method.name)),
    several ? unfold : null, state.flat ? title : null);
  const kind = [rows.dense?.[row] ? "dense" : "", at(rows, "ok", row) ? "" : "flagged"].join(" ");
  return h("tr", {class: kind, "data-row": row, "data-method": method.key}, head,
    ...cells((key) => at(rows, key, row), row, null));
}

function seedLine(row, model) {
  const head = h("th", {scope: "row", class: "seed"}, h("button", {type: "button", class: "plain",
    onclick: () => openModel(model)}, `seed ${models.seed[model]}`));
  const get = (key) => at(models, `${key}_accuracy`, model) ?? at(models, key, model);
  const kind = models.status[model] === "ok" ? "" : " flagged";
  return h("tr", {class: `seeds${kind}`, "data-model": addressOf(model)}, head,
    ...cells(get, row, model));
}

function cells(get, row, model) {
  const sd = model === null ? at(rows, "sd", row) : null;
  const low = model === null ? at(rows, "low", row) : at(models, "worst_low", model);
  const high = model === null ? at(rows, "high", row) : at(models, "worst_high", model);
  const seeds = (model === null ? rows.models[row] : [model])
    .map((m) => at(models, "worst_accuracy", m)).filter((v) => v !== null);
  const worst = h("td", {class: "number worst"}, h("b", {}, number(get("worst"))),
    sd === null ? null : h("span", {class: "sd"}, ` ± ${number(sd)}`), interval(low, high, seeds));
  const plain = (text, below) => h("td", {class: "number"}, text,
    below ? h("small", {}, below) : null);
  const found = [worst, h("td", {class: "marks"}, ...tagged(
    model === null ? at(rows, "tags", row) : at(models, "tags", model)))];
  for (const key of ["clean", "autoattack", "hofmn"]) found.push(plain(number(get(key))));
  found.push(plain(`${number(get("pgd20_best"))} / ${number(get("pgd20_last"))}`));
  found.push(plain(number(get("disagreement"))));
  found.push(plain(quantity(get("nonzero"))));
  found.push(plain(quantity(get("macs")), `eff. ${quantity(get("effective_macs"))}`));
  if (shown.columns.length > 10) {
    const ms = at(models, "one_compact_ms", model ?? rows.models[row][0]);
    found.push(plain(ms === null ? "–" : `${ms.toPrecision(3)} ms`));
  }
  return found;
}

// The interval as a bar and each seed as a point, from 0 to 100 %.
function interval(low, high, seeds) {
  if (low === null) return null;
  const bar = h("rect", {x: low, y: 2.5, width: Math.max(high - low, 0.5), height: 3, class: "bar"});
  const points = seeds.map((seed) => h("circle", {cx: seed, cy: 4, r: 1.6, class: "point"}));
  const text = `interval ${number(low)} to ${number(high)}`;
  return h("svg", {class: "interval", viewBox: "0 0 100 8", role: "img", "aria-label": text},
    h("rect", {x: 0, y: 3.6, width: 100, height: 0.8, class: "line"}), bar, ...points);
}

function fold(row) {
  if (!shown.unfolded.delete(row)) shown.unfolded.add(row);
  const place = shown.items.findIndex((item) => item.row === row && !("model" in item));
  const open = shown.unfolded.has(row);
  const own = rows.models[row].map((model) => ({row, model}));
  if (open) shown.items.splice(place + 1, 0, ...own);
  else shown.items.splice(place + 1, own.length);
  shown.made += open ? own.length : -own.length;
  const before = body.children[place];
  if (open) before.after(...own.map(line));
  else own.forEach(() => before.nextElementSibling.remove());
  before.querySelector(".unfold").setAttribute("aria-expanded", String(open));
}

function buildTable() {
  if (!models.one_compact_ms) shown.columns = COLUMNS.slice(0, -1);
  const head = shown.columns.map(([key, label, title]) =>
    h("th", {scope: "col", "data-key": key, title, class: key === "name" || key === "tags" ? "" : "number"},
      h("button", {type: "button", onclick: () => set(state.sort === key
        ? {up: state.up ? "" : "1"} : {sort: key, up: ""})}, label)));
  document.querySelector("#leaderboard thead tr").replaceChildren(...head);
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) more();
  }, {root: frame, rootMargin: "600px"}).observe(document.getElementById("more"));
  addEventListener("beforeprint", () => more(true));
  listeners.push((changes) => {
    const keys = Object.keys(changes);
    if (keys.some((key) => !["group", "chosen", "model"].includes(key))) arrange();
  });
}
