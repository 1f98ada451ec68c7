"use strict";
// What all parts of the page share: its data, its state, and how elements are made.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const {methods, groups, models, rows, preset} = read("data");
const details = read("details");
const at = (table, name, i) => table[name]?.[i] ?? null;
const count = (table) => Math.max(0, ...Object.values(table).map((column) => column.length));
const MOST = 8; // highlighted curves

// elements are made of text, never of markup: names come from outside
function h(tag, properties, ...children) {
  const svg = tag === "svg" || tag === "path" || tag === "rect" || tag === "circle";
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const number = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits));

function quantity(value) {
  if (value === null) return "–";
  for (const [factor, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= factor) return `${(value / factor).toPrecision(3)} ${unit}`;
  }
  return String(value);
}

function symbol(method, size = 12) {
  const paint = {d: method.shape, fill: method.colour};
  const attributes = {viewBox: "-1.2 -1.2 2.4 2.4", width: size, height: size, "aria-hidden": "true"};
  return h("svg", {class: "symbol", ...attributes}, h("path", paint));
}

function tagged(list) {
  return (list ?? []).map(([key, kind, text, title]) =>
    h("a", {class: `tag ${kind}`, href: `#mark-${key}`, title}, text));
}

// A model's place in links: what it is, in the order of the tables.
function addressOf(model) {
  const row = rowOf[model];
  const group = groups[rows.group[row]];
  const structure = rows.dense?.[row] ? "none" : group.structure;
  const share = at(rows, "sparsity", row) ?? 0;
  const method = methods[rows.method[row]].key;
  return [method, group.dataset, group.arch, structure, share, models.seed[model]].join("~");
}

const rowOf = [];
rows.models.forEach((own, row) => own.forEach((model) => (rowOf[model] ??= row)));
const byAddress = new Map(rowOf.map((_, model) => [addressOf(model), model]));

// State: what is filtered, sorted, highlighted and open. All of it stands in the address.
const DEFAULTS = {
  dataset: "", arch: "", structure: "", sparsity: "", stage: "", locality: "", criterion: "",
  q: "", sort: "worst", up: "", flat: "", group: "", chosen: null, model: "",
};
const state = {...DEFAULTS};
const listeners = [];

function readAddress() {
  const given = new URLSearchParams(location.hash.startsWith("#/") ? location.hash.slice(2) : "");
  for (const key of Object.keys(DEFAULTS)) state[key] = given.get(key) ?? DEFAULTS[key];
}

function writeAddress() {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (value !== DEFAULTS[key]) given.set(key, value);
  }
  const text = String(given);
  history.replaceState(null, "", text ? `#/${text}` : location.pathname + location.search);
}

function set(changes) {
  Object.assign(state, changes);
  writeAddress();
  for (const listener of listeners) listener(changes);
}

const download = (name, href) => h("a", {download: name, href}).click();
const narrow = () => document.documentElement.clientWidth < 640;
