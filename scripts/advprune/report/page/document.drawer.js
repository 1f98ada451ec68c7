// A drawer with everything known of one model.
const drawer = document.getElementById("drawer");
const ATTACKS = {clean: "wrong from the start", "apgd-ce": "APGD on cross-entropy",
  "apgd-t": "targeted APGD", "fab-t": "targeted FAB", square: "Square"};

function openModel(model) {
  set({model: addressOf(model)});
}

function table(caption, head, lines) {
  const cell = (tag, content, i) => h(tag, {class: i ? "number" : "", scope: tag === "th" ? "col" : null}, content);
  return h("div", {class: "wide"}, h("table", {},
    caption ? h("caption", {}, caption) : null,
    head.length ? h("thead", {}, h("tr", {}, ...head.map((text, i) => cell("th", text, i)))) : null,
    h("tbody", {}, ...lines.map((line) => h("tr", {}, ...line.map((content, i) => cell("td", content, i)))))));
}

const part = (title, ...children) => {
  const there = children.flat().filter(Boolean);
  return there.length ? h("section", {}, h("h3", {}, title), ...there) : null;
};
const paragraph = (text) => (text ? h("p", {}, text) : null);

function accuracies(model) {
  const labels = {clean: "Clean", autoattack: "AutoAttack", hofmn: "HO-FMN", worst: "Worst case"};
  const lines = Object.entries(labels).map(([key, label]) => {
    const [value, low, high] = ["accuracy", "low", "high"].map((side) => at(models, `${key}_${side}`, model));
    return [label, number(value), `${number(low)} – ${number(high)}`];
  });
  const images = at(models, "images", model);
  return part("Accuracy", table(`In % of ${images ?? "–"} test images; 95 % Wilson intervals.`,
    ["Attack", "Accuracy", "Interval"], lines));
}

// Who broke what: AutoAttack's attacks in their order, what HO-FMN alone broke, what is left.
function broken(model) {
  const counts = at(models, "broken_by", model);
  const images = at(models, "images", model);
  if (!counts || !images) return null;
  const worst = Math.round((images * (at(models, "worst_accuracy", model) ?? 0)) / 100);
  const found = Object.keys(ATTACKS).filter((key) => counts[key]).map((key) => [ATTACKS[key], counts[key], key]);
  const others = Object.keys(counts).filter((key) => !(key in ATTACKS));
  found.push(...others.map((key) => [key, counts[key], "other"]));
  const alone = images - worst - found.reduce((sum, [, n]) => sum + n, 0);
  if (alone > 0) found.push(["HO-FMN alone", alone, "hofmn"]);
  found.push(["robust after both", worst, "robust"]);
  const bar = h("div", {class: "stack", "aria-hidden": "true"}, ...found.map(([, n, key]) =>
    h("span", {class: key, style: `flex-grow:${n}`})));
  const lines = found.map(([label, n, key]) => [h("span", {}, h("i", {class: `key ${key}`}), label), String(n),
    `${number((100 * n) / images)} %`]);
  return part("Who broke what", bar, table("", ["First broken by", "Images", "Share"], lines), missed(model));
}

function missed(model) {
  const recovered = at(models, "hofmn_recovered", model);
  const share = at(models, "hofmn_missed", model);
  if (share === null) return null;
  const before = at(models, "distance_before", model);
  const check = recovered ? ` Attacked again, ${recovered} of the former have a median distance of ${
    number(at(models, "distance_after", model), 4)}; before it was ${before === null ? "not found" : number(before, 4)}.` : "";
  return paragraph(`On ${number(share)} % of the images AutoAttack found an adversarial within the radius and HO-FMN did not, on ${
    number(at(models, "autoattack_missed", model))} % the reverse.${check}`);
}

function ice(found) {
  if (!found) return null;
  const text = `${found.robust_before} images are robust on the dense net of the seed; ${found.lost} of them are lost and ${
    found.gained} others gained.`;
  const nearness = found.thin_ice_auc === null ? "" : ` Lost images were nearer to an adversarial than kept ones with a chance of ${
    number(found.thin_ice_auc, 2)}.`;
  return part("Thin ice", paragraph(text + nearness));
}

function layers(found) {
  if (!found?.layers) return null;
  const {removed, units, zeros, weights} = found.layers;
  const lines = details.nets[found.net].map((name, i) => {
    const kept = (100 * (units[i] - removed[i])) / units[i];
    const bar = h("span", {class: "kept"}, h("span", {style: `width:${kept}%`}));
    return [h("code", {}, name), bar, `${number(kept)} %`, `${units[i] - removed[i]} of ${units[i]}`,
      `${quantity(weights[i] - zeros[i])} of ${quantity(weights[i])}`];
  });
  return part("Layers", table("What is left of each prunable layer, recounted from the saved file.",
    ["Layer", "", "Kept", "Units", "Weights"], lines));
}

function trainingOf(model, found) {
  const epochs = Object.entries(found?.epochs ?? {}).map(([phase, n]) => `${n} of ${phase}`).join(", ");
  const best = at(models, "best_epoch", model);
  const all = at(models, "epochs", model);
  const words = [all === null ? "" : `${all} epochs${epochs ? `: ${epochs}` : ""}.`,
    best === null ? "" : ` Of the last training, epoch ${best} of ${at(models, "final_epochs", model)} is evaluated.`,
    ` PGD-20 on test images: ${number(at(models, "pgd20_best", model))} % then, ${
      number(at(models, "pgd20_last", model))} % in the last epoch.`].join("");
  const objective = at(models, "objective", model);
  const missing = found && !Object.keys(historyOf(found)).length
    ? "No history is kept of this model: its log is not there." : "";
  return part("Training", paragraph(objective ? `Objective: ${objective}. ${words}` : words),
    paragraph(missing), found ? h("div", {id: "history"}) : null);
}

function historyOf(found) {
  const start = found.pretrained && details.histories[found.pretrained];
  return {...(start ? {pretrain: start} : {}), ...found.history};
}

async function drawHistory(found) {
  const place = drawer.querySelector("#history");
  const phases = found ? historyOf(found) : {};
  if (!place || !Object.keys(phases).length) return;
  const names = {val_clean: "clean, validation", val_pgd: "PGD, validation", loss: "loss"};
  const data = Object.entries(phases).flatMap(([phase, columns], order) => columns.epoch.flatMap((epoch, i) =>
    Object.keys(names).filter((key) => (columns[key]?.[i] ?? null) !== null).map((key) => ({
      phase, order, epoch, figure: names[key], panel: key === "loss" ? "loss" : "accuracy (%)",
      value: key === "loss" ? columns[key][i] : Number((100 * columns[key][i]).toFixed(2)),
      chosen: found.best[phase.split("-")[0]]?.epoch === epoch,
    }))));
  await embed(place, "history", {history: data});
  place.append(h("p", {class: "soft"}, "Validation images; the dashed line marks the epoch whose net was taken."));
}

function provenanceOf(model, found) {
  const get = (key) => at(models, key, model);
  const dates = [...new Set([get("first_date"), get("last_date")])].filter(Boolean).join(" to ");
  const facts = [["Commit", get("commit")], ["Changed since", get("dirty")], ["Device", get("device")], ["Dates", dates],
    ["Width", get("width")]].filter(([, text]) => text !== null && text !== "");
  const cards = (found?.cards ?? []).map((card) => [card.script, String(card.time).slice(0, 16).replace("T", " "),
    card.seconds === null ? "–" : `${number(card.seconds, 0)} s`, String(card.commit ?? "unknown").slice(0, 10),
    card.device ?? "–"]);
  const folder = found?.folder && h("p", {}, "Files: ", details.linked
    ? h("a", {href: `${found.folder}/`}, found.folder) : h("code", {}, found.folder));
  const logs = found?.logs?.length && h("p", {}, "Logs: ", ...found.logs.flatMap((step, i) =>
    [i ? ", " : "", h("code", {}, `${details.logs}/${step}/${found.folder}.log`)]));
  const listed = h("dl", {class: "facts"}, ...facts.map(([term, text]) =>
    h("div", {}, h("dt", {}, term), h("dd", {}, String(text)))));
  return part("Provenance", facts.length ? listed : null, folder, logs,
    cards.length ? table("Jobs", ["Job", "Ended", "Took", "Commit", "Device"], cards) : null);
}

function costsOf(model) {
  const get = (key) => at(models, key, model);
  const ms = (key) => (get(key) === null ? "–" : `${get(key).toPrecision(3)} ms`);
  const lines = [["Weights (non-zero of all)", `${quantity(get("nonzero"))} of ${quantity(get("params"))}`],
    ["MACs (with non-zero weights)", `${quantity(get("macs"))} (${quantity(get("effective_macs"))})`]];
  if (get("compact_params") !== null) {
    lines.push(["Compact net: weights, MACs", `${quantity(get("compact_params"))}, ${quantity(get("compact_macs"))}`],
      ["One image: compact, as saved", `${ms("one_compact_ms")}, ${ms("one_saved_ms")}`],
      [`Batch of ${get("batch") ?? "–"}: compact, as saved`, `${ms("batch_compact_ms")}, ${ms("batch_saved_ms")}`]);
  }
  const sparsity = get("sparsity_achieved");
  if (sparsity !== null) lines.unshift(["Removed, recounted", `${number(sparsity)} %`]);
  return part("Costs", table("", [], lines));
}

function methodOf(method) {
  const {authors, title, venue, year} = method.citation;
  const link = method.url ? h("a", {href: method.url}, title) : title;
  const facts = Object.entries(method.taxonomy).map(([key, text]) =>
    h("span", {class: "fact"}, h("b", {}, key.replace("_", " ")), ` ${text}`));
  return part("Method", title ? h("p", {}, authors ? `${authors}, ` : "", "“", link, "”",
    venue ? `, ${venue}` : "", year ? ` ${year}` : "", ".") : null,
    facts.length ? h("p", {}, ...facts) : null,
    method.deviations.length ? h("p", {}, "Deviations from the paper:") : paragraph("No known deviations."),
    method.deviations.length ? h("ul", {}, ...method.deviations.map((text) => h("li", {}, text))) : null);
}

function marksOf(model) {
  const listed = at(models, "tags", model) ?? [];
  const lines = listed.map((tag) => h("li", {}, ...tagged([tag]), " ", tag[3]));
  return lines.length ? part("Marks", h("ul", {class: "marks"}, ...lines)) : null;
}

async function detailsOf(model) {
  if (!details.folder) return details.models?.[model] ?? null;
  try {
    return await (await fetch(`${details.folder}/${model}.json`)).json();
  } catch {
    return null;
  }
}

async function showDrawer() {
  const model = byAddress.get(state.model);
  if (model === undefined) {
    if (drawer.open) drawer.close();
    return;
  }
  const row = rowOf[model];
  const [method, group] = [methods[rows.method[row]], groups[rows.group[row]]];
  const found = await detailsOf(model);
  const seeds = rows.models[row].map((other) => h("button", {type: "button", class: "plain",
    "aria-current": other === model ? "true" : null, onclick: () => openModel(other)}, `seed ${models.seed[other]}`));
  const title = rows.dense?.[row] ? "dense" : group.title;
  const close = h("button", {type: "button", class: "close", "aria-label": "Close", onclick: () => drawer.close()}, "×");
  const figures = details.curves && h("p", {class: "soft"}, "Figures: ",
    h("a", {href: `curves/${group.stem}.pdf`}, "curves (PDF)"));
  drawer.replaceChildren(h("header", {}, h("div", {},
    h("h2", {id: "drawer-title"}, symbol(method, 15), h("bdi", {}, method.name)),
    h("p", {}, `${group.dataset} · ${group.arch} · ${title} · ${group.norm}, ε = ${group.eps_text}`)), close),
    h("nav", {"aria-label": "Seeds"}, ...seeds), ...[marksOf(model), accuracies(model), broken(model),
      ice(found?.thin_ice), trainingOf(model, found), layers(found), costsOf(model),
      provenanceOf(model, found), methodOf(method), figures].filter(Boolean));
  if (!details.models && !details.folder) {
    drawer.append(paragraph("Layers, history and cards are in the model's folder, and in the pages that advprune site writes."));
  }
  if (!drawer.open) drawer.showModal();
  drawer.scrollTop = 0;
  await drawHistory(found);
}

function buildDrawer() {
  drawer.addEventListener("close", () => { if (state.model) set({model: ""}); });
  drawer.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });
  listeners.push((changes) => { if ("model" in changes) showDrawer(); });
}
