"use strict";
const table = document.getElementById("leaderboard");
const body = table.tBodies[0];
const rows = [...body.rows];
const form = document.getElementById("filters");

const cellValue = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.sort ?? cell.textContent.trim();
};

// numbers by size, texts by alphabet, what is missing last in either direction
function compare(a, b, direction) {
  const missing = (value) => value === "" || value === "nan" || value === "<NA>";
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const difference = Number(a) - Number(b);
  return direction * (Number.isNaN(difference) ? a.localeCompare(b, "en") : difference);
}

function sortBy(header) {
  const numeric = header.classList.contains("number");
  const before = header.getAttribute("aria-sort");
  const first = numeric ? "descending" : "ascending";
  const second = numeric ? "ascending" : "descending";
  const order = before === first ? second : first;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  table.classList.add("sorted");
  const direction = order === "ascending" ? 1 : -1;
  const column = header.cellIndex;
  rows.sort((a, b) => compare(cellValue(a, column), cellValue(b, column), direction));
  body.append(...rows);
}

function filter() {
  const selects = [...form.querySelectorAll("select")];
  const words = form.querySelector("input").value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const row of rows) {
    const fits = selects.every((s) => !s.value || row.dataset[s.dataset.key] === s.value);
    row.hidden = !(fits && words.every((word) => row.dataset.search.includes(word)));
    shown += !row.hidden;
  }
  form.querySelector("output").textContent = `${shown} of ${rows.length} models`;
}

for (const header of table.tHead.rows[0].cells) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = header.textContent;
  button.addEventListener("click", () => sortBy(header));
  header.replaceChildren(button);
}
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(filter));
form.hidden = false;
filter();

// a link to a method opens its section
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") target.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();
