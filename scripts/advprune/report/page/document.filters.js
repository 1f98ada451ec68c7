// Filters and search, which the table and the curves share.
const taxonomy = (method, key) => method.taxonomy[key] ?? "";
const OF_GROUP = ["dataset", "arch", "structure", "sparsity"];
const OF_METHOD = {
  stage: (method) => method.stage,
  locality: (method) => taxonomy(method, "locality"),
  criterion: (method) => taxonomy(method, "criterion"),
};

const texts = rows.models.map((own, row) => {
  const [method, group] = [methods[rows.method[row]], groups[rows.group[row]]];
  const {authors, title, venue, year} = method.citation;
  const told = own.flatMap((model) => ["status", "reason", "warnings", "marks", "objective"]
    .map((name) => at(models, name, model) ?? ""));
  const tags = (at(rows, "tags", row) ?? []).flatMap((tag) => [tag[2], tag[3]]);
  const seeds = own.map((model) => `seed${models.seed[model]} seed ${models.seed[model]}`);
  const marks = [tags.length ? "marked" : "", at(rows, "doubt", row) ? "doubt unreliable" : ""];
  const names = [method.key, method.name, method.stage, method.fidelity, authors, title, venue, year];
  const place = [group.dataset, group.arch, group.title, ...Object.values(method.taxonomy)];
  return [...names, ...place, ...told, ...tags, ...seeds, ...marks].join(" ").toLowerCase();
});

const isReference = (row) => ["dense", "reference"].includes(methods[rows.method[row]].kind);

function fitsGroup(group) {
  return OF_GROUP.every((key) => !state[key] || group[key] === state[key]);
}

// dense nets and references are what others are compared with: families do not hide them
function fitsMethod(row) {
  const method = methods[rows.method[row]];
  return Object.entries(OF_METHOD).every(
    ([key, value]) => !state[key] || value(method) === state[key]);
}

function matches(words, row) {
  return words.every((word) => texts[row].includes(word));
}

// The rows that are shown, dense nets only where they lead others.
function filtered() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  const leading = [];
  const fitting = groups.map(fitsGroup);
  const filled = new Set();
  for (let row = 0; row < rows.group.length; row++) {
    if (!fitting[rows.group[row]]) continue;
    if (rows.dense?.[row]) leading.push(row);
    else if (fitsMethod(row) && matches(words, row)) {
      found.push(row);
      filled.add(rows.group[row]);
    }
  }
  const alone = (row) => groups[rows.group[row]].structure === "none";
  const leads = (row) => (words.length
    ? matches(words, row) : filled.has(rows.group[row]) || alone(row));
  return [...leading.filter(leads), ...found];
}

function buildFilters() {
  const form = document.getElementById("filters");
  const labels = {dataset: "Dataset", arch: "Net", structure: "Structure", sparsity: "Sparsity",
    stage: "Family", locality: "Locality", criterion: "Criterion"};
  for (const [key, label] of Object.entries(labels)) {
    const own = key in OF_METHOD
      ? methods.filter((m) => rows.method.includes(methods.indexOf(m))).map(OF_METHOD[key])
      : groups.map((group) => group[key]);
    const values = [...new Set(own.filter(Boolean))];
    if (key in OF_METHOD) values.sort();
    if (key === "sparsity") values.sort((a, b) => parseFloat(a) - parseFloat(b));
    if (values.length < 2) continue;
    const options = [h("option", {value: ""}, "all"), ...values.map((v) => h("option", {value: v}, v))];
    const select = h("select", {"data-key": key}, ...options);
    select.addEventListener("change", () => set({[key]: select.value, group: ""}));
    form.insertBefore(h("label", {}, label, select), form.querySelector(".search"));
  }
  const search = form.querySelector("input[type=search]");
  search.addEventListener("input", () => set({q: search.value}));
  const flat = form.querySelector("input[type=checkbox]");
  flat.addEventListener("change", () => set({flat: flat.checked ? "1" : ""}));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    set({...DEFAULTS});
  });
  const show = () => {
    for (const select of form.querySelectorAll("select")) select.value = state[select.dataset.key];
    if (search.value !== state.q) search.value = state.q;
    flat.checked = Boolean(state.flat);
  };
  listeners.push(show);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select, dialog")) return;
    event.preventDefault();
    search.focus();
  });
}
