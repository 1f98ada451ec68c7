// Security evaluation curves of one group: dense nets and references always, the chosen methods in
// colour, all others grey until they are chosen.
const charts = {};
const BANDS = 3; // more bands than these lie over one another

function groupsWithCurves() {
  const found = new Set(rows.curve ? rows.group.filter((_, row) => rows.curve[row]) : []);
  const fitting = [...found].filter((group) => fitsGroup(groups[group]));
  return fitting.length ? fitting : [...found];
}

function current() {
  const all = groupsWithCurves();
  const named = all.find((group) => groups[group].stem === state.group);
  return named ?? all.find((group) => groups[group].structure !== "none") ?? all[0];
}

// The group's rows with a curve, by falling worst case.
function drawn(group) {
  const found = [];
  for (let row = 0; row < rows.group.length; row++) {
    if (rows.group[row] !== group || !rows.curve[row]) continue;
    if (isReference(row) || fitsMethod(row)) found.push(row);
  }
  return found.sort((a, b) => compare(at(rows, "worst", a), at(rows, "worst", b), -1));
}

const keyOf = (row) => methods[rows.method[row]].key;

// Without a choice, all of a few methods, or the best three of many.
function chosenOf(list) {
  const others = list.filter((row) => !isReference(row)).map(keyOf);
  const own = others.filter((key) => methods.find((method) => method.key === key).kind === "method");
  if (state.chosen === null) return own.length > MOST ? own.slice(0, 3) : own;
  return state.chosen.split("~").filter((key) => others.includes(key)).slice(0, MOST);
}

function choose(key) {
  const list = drawn(current());
  const chosen = new Set(chosenOf(list));
  if (!chosen.delete(key)) {
    if (chosen.size >= MOST) return note(`At most ${MOST} methods can be highlighted at once.`);
    chosen.add(key);
  }
  note("");
  return set({chosen: [...chosen].join("~")});
}

const note = (text) => { document.getElementById("curves-note").textContent = text; };

function figureData(group, list, chosen) {
  const {eps, eps_text: text, norm} = groups[group];
  const scale = text.endsWith("/255") ? 255 : 1;
  const grid = groups[group].radii.map((radius) => radius * scale);
  const data = {curves: [], points: [], legend: [], radius: [{eps: eps * scale, text: `ε = ${text}`}]};
  const few = chosen.length <= BANDS;
  for (const row of list) {
    const method = methods[rows.method[row]];
    const kind = isReference(row) ? method.kind : chosen.includes(method.key) ? "chosen" : "grey";
    const [mean, low, high] = rows.curve[row];
    const doubt = Boolean(at(rows, "doubt", row));
    grid.forEach((x, i) => {
      const point = {m: method.key, x, y: mean[i], lo: low[i], hi: high[i], kind, colour: method.colour,
        banded: few && kind === "chosen"};
      const dash = kind === "grey" ? [] : method.dash;
      // at the radius a curve is both, so that its parts meet; radii are rounded
      if (x <= eps * scale * 1.001) data.curves.push({...point, part: "within", dash});
      if (x >= eps * scale * 0.999) {
        data.curves.push({...point, part: "beyond", dash: doubt ? [1.5, 3.5] : dash});
      }
    });
    if (kind === "grey") continue;
    const look = {m: method.key, colour: method.colour, shape: method.shape, dash: method.dash};
    const at_eps = mean[grid.findIndex((x) => x >= eps * scale * 0.999)];
    data.points.push({...look, x: eps * scale, y: at_eps, attack: "HO-FMN"});
    const worst = at(rows, "worst", row);
    if (worst !== null) data.points.push({...look, x: eps * scale, y: worst, attack: "worst"});
    const name = `${method.short} ${number(worst)}${doubt ? " ?" : ""}`;
    data.legend.push({...look, rank: data.legend.length, text: name});
  }
  return {data, scale, norm};
}

async function embed(place, name, data = {}) {
  const figure = read("figures")[name];
  for (const set of figure.data) if (set.name in data) set.values = data[set.name];
  const options = {mode: "vega", renderer: "svg", actions: false, ast: false, logLevel: 1};
  return (await vegaEmbed(place, figure, options)).view;
}

async function drawCurves() {
  const group = current();
  const place = document.getElementById("chart");
  if (group === undefined) return;
  charts.curves ??= await embed(place, "curves");
  const view = charts.curves;
  const list = drawn(group);
  const chosen = chosenOf(list);
  const {data, scale, norm} = figureData(group, list, chosen);
  const beside = narrow() ? 0 : 215; // names stand beside the curves, on narrow screens below
  const {dataset, arch, title} = groups[group];
  view.signal("title", `${dataset}, ${arch}: ${title}`);
  const unit = `${scale > 1 ? " · 255" : ""} (${norm.replace("Linf", "ℓ∞")})`;
  view.signal("x_title", `Perturbation size ε${unit}`);
  view.signal("y_title", "Accuracy under HO-FMN (%)");
  view.width(Math.max(180, Math.min(760, place.parentElement.clientWidth - 60 - beside)));
  view.height(Math.max(narrow() ? 260 : 340, beside ? 16 * data.legend.length + 20 : 0));
  for (const [name, content] of Object.entries(data)) {
    view.data(name, name === "legend" && !beside ? [] : content);
  }
  await view.runAsync();
  charts.shown = {group, list, data};
  showChips(list, chosen);
  showGroups(group);
}

function showChips(list, chosen) {
  const chips = list.map((row) => {
    const method = methods[rows.method[row]];
    const fixed = isReference(row);
    const on = fixed || chosen.includes(method.key);
    const button = h("button", {type: "button", class: "chip", "aria-pressed": String(on), disabled: fixed,
      "data-key": method.key, onclick: () => choose(method.key)},
      symbol(method), h("bdi", {}, method.short), ` ${number(at(rows, "worst", row))}`,
      at(rows, "doubt", row) ? " ?" : "");
    for (const type of ["pointerenter", "focus"]) button.addEventListener(type, () => hover(method.key));
    for (const type of ["pointerleave", "blur"]) button.addEventListener(type, () => hover(""));
    return button;
  });
  const place = document.getElementById("chips");
  const focused = document.activeElement?.dataset?.key;
  place.replaceChildren(...chips);
  if (focused) [...place.children].find((chip) => chip.dataset.key === focused)?.focus();
  const names = list.filter((row) => !isReference(row)).map((row) => methods[rows.method[row]].name);
  document.getElementById("names").replaceChildren(...names.map((name) => h("option", {value: name})));
}

function showGroups(group) {
  const select = document.getElementById("group");
  const options = groupsWithCurves().map((other) => {
    const {dataset, arch, title, stem} = groups[other];
    return h("option", {value: stem, selected: other === group}, `${dataset}, ${arch}: ${title}`);
  });
  select.replaceChildren(...options);
}

function hover(key) {
  if (!charts.curves || charts.curves.signal("hover") === key) return;
  charts.curves.signal("hover", key).runAsync();
}

// The curve nearest to the pointer, within 24 pixels, and its point.
function nearest(event) {
  const view = charts.curves;
  const [left, top] = view.origin();
  const box = document.querySelector("#chart svg").getBoundingClientRect();
  const [px, py] = [event.clientX - box.left - left, event.clientY - box.top - top];
  const [x, y] = [view.scale("x"), view.scale("y")];
  let best = null;
  for (const point of charts.shown.data.curves) {
    const [dx, dy] = [Math.abs(x(point.x) - px), Math.abs(y(point.y) - py)];
    const distance = 3 * dx + dy; // first the column, then the curve
    if (dx < 16 && dy < 24 && (!best || distance < best.distance)) best = {point, distance};
  }
  return best?.point;
}

function showPoint(event) {
  const tip = document.getElementById("tip");
  const point = charts.shown && nearest(event);
  tip.hidden = !point;
  hover(point ? point.m : "");
  if (!point) return;
  const row = charts.shown.list.find((other) => keyOf(other) === point.m);
  const scale = groups[rows.group[row]].eps_text.endsWith("/255") ? " / 255" : "";
  const seeds = `${rows.used[row]} seed${rows.used[row] > 1 ? "s" : ""}`;
  const lines = [`ε = ${Number(point.x.toPrecision(3))}${scale}: ${number(point.y)} %`,
    `interval ${number(point.lo)} to ${number(point.hi)} (${seeds})`,
    `at the radius: worst case ${number(at(rows, "worst", row))} %`];
  if (at(rows, "doubt", row)) lines.push("? its attacks are in doubt: dotted beyond the radius");
  tip.replaceChildren(h("b", {}, methods[rows.method[row]].name), ...lines.map((text) => h("div", {}, text)));
  const across = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(4, across)}px`;
  tip.style.top = `${event.clientY + 14}px`;
}

async function exported(kind) {
  const url = await charts.curves.toImageURL(kind, kind === "png" ? 3 : 1);
  download(`curves-${groups[current()].stem}.${kind}`, url);
}

function buildCurves() {
  const place = document.getElementById("chart");
  if (!groupsWithCurves().length) return note("No curves were given.");
  for (const type of ["pointerenter", "pointermove"]) place.addEventListener(type, showPoint);
  place.addEventListener("pointerleave", () => {
    document.getElementById("tip").hidden = true;
    hover("");
  });
  place.addEventListener("click", (event) => {
    const point = nearest(event);
    if (point && !isReference(charts.shown.list.find((row) => keyOf(row) === point.m))) choose(point.m);
  });
  document.getElementById("group").addEventListener("change", (event) => set({group: event.target.value}));
  const search = document.getElementById("highlight");
  search.addEventListener("change", () => {
    const wanted = search.value.toLowerCase();
    const row = wanted && drawn(current()).find((other) => !isReference(other)
      && methods[rows.method[other]].name.toLowerCase().includes(wanted));
    if (row || row === 0) {
      if (!chosenOf(drawn(current())).includes(keyOf(row))) choose(keyOf(row));
    } else if (wanted) note("No method of that name in this group.");
    search.value = "";
  });
  for (const kind of ["svg", "png"]) {
    document.getElementById(`save-${kind}`).addEventListener("click", () => exported(kind));
  }
  document.getElementById("none").addEventListener("click", () => set({chosen: ""}));
  listeners.push((changes) => {
    const keys = Object.keys(changes);
    const own = [...OF_GROUP, ...Object.keys(OF_METHOD), "group", "chosen"];
    if (keys.some((key) => own.includes(key))) drawCurves();
  });
  let timer;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(drawCurves, 150);
  });
  return undefined;
}
