"use strict";
const LINES = 24;
const KEYS = ["dataset", "backbone", "setting", "shots"];
const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
const lines = (part) => Array.from(part.rows).filter((row) => !row.classList.contains("group"));

// A head's button sorts its table, each group of its own: first upwards, then downwards. Empty
// cells stay last.
function sortTable(head) {
  const table = head.closest("table");
  const column = head.cellIndex;
  const upwards = head.getAttribute("aria-sort") !== "ascending";
  const key = (row) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  const empty = (value) => value === "" || value === "\u2013";
  const compare = (a, b) => {
    if (empty(a) || empty(b)) return empty(a) - empty(b);
    const both = typeof a === "number" && typeof b === "number";
    const order = both ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
    return upwards ? order : -order;
  };
  for (const body of table.tBodies) {
    const rows = lines(body).map((row) => [key(row), row]);
    rows.sort((a, b) => compare(a[0], b[0]));
    body.append(...rows.map((pair) => pair[1]));
  }
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", upwards ? "ascending" : "descending");
  show(table);
}
for (const button of all("table.sortable thead button")) {
  button.addEventListener("click", () => sortTable(button.parentElement));
}

// What is chosen hides rows, columns and findings of anything else; a long table shows its first
// rows until all are asked for.
const form = document.getElementById("filter");
let chosen = {};
let words = "";
const fits = (part) => KEYS.every((key) => !chosen[key] || !(key in part.dataset) || part.dataset[key] === chosen[key]);
const has = (text) => words === "" || text.toLowerCase().includes(words);
const title = (table) => {
  const section = table.closest("section.table, figure");
  const named = section && section.querySelector(".caption, figcaption");
  return named ? named.textContent : "";
};
function show(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  const columns = heads.map((head, place) => place === 0 || fits(head));
  const name = title(table);
  let found = 0;
  let seen = 0;
  for (const body of table.tBodies) {
    const group = body.querySelector(".group");
    const begin = `${name} ${group ? group.textContent : ""} `;
    let own = 0;
    for (const row of lines(body)) {
      const asked = fits(body) && fits(row) && has(begin + row.cells[0].textContent);
      found += asked;
      const kept = asked && (table.classList.contains("whole") || seen < LINES);
      row.hidden = !kept;
      own += kept;
      seen += kept;
    }
    if (group) group.hidden = own === 0;
  }
  for (const row of table.rows) {
    if (row.classList.contains("group")) continue;
    Array.from(row.cells).forEach((cell, place) => { cell.hidden = !columns[place]; });
  }
  const more = table.closest(".scroll").nextElementSibling;
  const button = more && more.querySelector("button.all");
  if (button) {
    button.hidden = found <= LINES;
    button.textContent = table.classList.contains("whole") ? `Show the first ${LINES} rows` : `Show all ${found} rows`;
  }
  return columns.slice(1).some(Boolean) ? found : 0;
}
for (const button of all("button.all")) {
  button.addEventListener("click", () => {
    const table = button.parentElement.previousElementSibling.querySelector("table");
    table.classList.toggle("whole");
    show(table);
  });
}
function filter() {
  const asked = new FormData(form);
  chosen = Object.fromEntries(KEYS.map((key) => [key, asked.get(key) || ""]));
  words = asked.get("search").trim().toLowerCase();
  const narrowed = words !== "" || KEYS.some((key) => chosen[key]);
  let rows = 0;
  let findings = 0;
  for (const table of all("table.sortable")) {
    const found = show(table);
    const section = table.closest("section.table");
    if (section) section.hidden = narrowed && found === 0;
    if (section) rows += found;
  }
  for (const item of all(".findings li")) {
    item.hidden = !(fits(item) && has(item.textContent));
    findings += !item.hidden;
  }
  for (const item of all(".samples li")) {
    const own = item.closest(".explorer").querySelector("input").value.trim().toLowerCase();
    item.hidden = !(fits(item) && has(item.textContent) && item.textContent.toLowerCase().includes(own));
  }
  for (const figure of all("figure")) figure.hidden = !has(figure.querySelector("figcaption").textContent);
  for (const fold of all("details.fold")) {
    const parts = all("li, section.table, figure", fold);
    fold.hidden = parts.length > 0 && parts.every((part) => part.hidden);
    if (words !== "" && !fold.hidden) fold.open = true;
  }
  form.elements.found.value = narrowed ? `${findings} findings, ${rows} rows` : "";
}
form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(filter));
filter();

// The contents mark the section that is read, and are folded where they would hide the answer.
const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
const seen = new Set();
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) seen[entry.isIntersecting ? "add" : "delete"](entry.target.id);
  const first = Array.from(links.keys()).find((id) => seen.has(id));
  for (const link of links.values()) link.removeAttribute("aria-current");
  if (first) links.get(first).setAttribute("aria-current", "true");
}, { rootMargin: "-20% 0px -60% 0px" });
for (const id of links.keys()) watch.observe(document.getElementById(id));
document.querySelector("nav details").open = matchMedia("(min-width: 68rem)").matches;

// A link into a folded part opens it.
function unfold() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  let fold = target && target.closest("details");
  if (!fold) return;
  for (; fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();

// The value of the nearest point of a figure, under the pointer.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);
for (const image of all("img[data-points]")) {
  let points = null;
  image.addEventListener("pointermove", (event) => {
    points = points || JSON.parse(image.dataset.points);
    const box = image.getBoundingClientRect();
    const at = ([x, y]) => [box.left + (x / 1000) * box.width, box.top + (y / 1000) * box.height];
    let best = null;
    let least = 24;
    for (const point of points) {
      const [x, y] = at(point);
      const distance = Math.hypot(x - event.clientX, y - event.clientY);
      if (distance < least) [best, least] = [point, distance];
    }
    tip.hidden = best === null;
    if (best === null) return;
    tip.textContent = best[2];
    const [x, y] = at(best);
    const width = tip.offsetWidth;
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - width - 4))}px`;
    tip.style.top = `${y + 14}px`;
  });
  image.addEventListener("pointerleave", () => { tip.hidden = true; });
}
