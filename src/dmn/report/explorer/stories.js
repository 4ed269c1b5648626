
// The explorer: a sample's link draws its story from the data at the end of the page.
const told = new Map();
const items = all(".samples li");
const kept = document.getElementById("stories");
for (const { place, told: own, pictures } of kept ? JSON.parse(kept.textContent) : []) {
  for (const story of own) told.set(story[0], { place, pictures, story });
}
function make(tag, options, ...parts) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...parts);
  return element;
}
function image(pictures, name, kind) {
  if (!Object.hasOwn(pictures, name)) return "";
  return make("img", { className: kind, src: `data:image/webp;base64,${pictures[name]}`, alt: `picture of ${name}` });
}
function tableOf(caption, heads, rows) {
  const cell = (part) => part instanceof HTMLElement && part.matches("th, td") ? part : make("td", {}, part);
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))));
  const table = make("table", { className: "told" }, make("caption", {}, caption), make("thead", {}, head), body);
  return make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, table);
}
const number = (value) => make("td", { className: "number" }, value);
const percent = (value) => number(`${(100 * value).toFixed(1)}%`);
const verdict = (right) => make("td", { className: right ? "" : "bad" }, right ? "\u2713 right" : "\u2717 wrong");
function draw(id) {
  const { place: [dataset, backbone], pictures, story } = told.get(id);
  const [, cell, options, moment, replaced, answers, near, orders] = story;
  const [name, label, order, step, images, pseudo, entropy, slot] = moment;
  const ids = new Map(Array.from(told.entries())
    .filter(([, other]) => other.place[0] === dataset && other.place[1] === backbone)
    .map(([key, other]) => [other.story[3][0], key]));
  const link = (text) => text !== name && ids.has(text) ? make("a", { href: `#${ids.get(text)}` }, text) : text;
  const stored = slot < 0 ? ["It was not stored: its class was full of more certain images."]
    : replaced ? [`It was stored in slot ${slot}, in place of `, link(replaced), "."] : [`It was stored in slot ${slot}.`];
  const seen = items.filter((item) => !item.hidden).map((item) => item.id);
  const at = seen.indexOf(id);
  const go = (text, to) => make("button", { type: "button", disabled: to === undefined, onclick: () => { location.hash = to; } }, text);
  const places = orders.slice().sort((a, b) => a[1] - b[1]);
  return [
    make("p", { className: "steps" }, go("Previous", seen[at - 1]), go("Next", seen[at + 1]), make("small", {}, `${dataset}, ${backbone}`)),
    image(pictures, name, "own"),
    make("h4", {}, `${name}: ${label}`),
    make("p", {}, `${cell}, order ${order}: image ${step + 1} of ${images}. Pseudo-label, by text on its views: ${pseudo}, with an entropy of ${entropy.toFixed(3)} nats. `, ...stored),
    tableOf("Answers, and their probabilities", ["prediction", "answer", "probability", "of the label", ""], answers.map(
      ([what, answer, p, own, right]) => [make("th", { scope: "row" }, what), answer, percent(p), percent(own), verdict(right)])),
    tableOf("Nearest in the memory that moment, in the class answered and in its own", ["holds", "filed under", "true class", "weight", "share of its class"], near.map(
      ([holds, filed, truth, weight, share]) => [make("th", { scope: "row" }, image(pictures, holds, ""), link(holds)), filed,
        make("td", { className: truth === filed ? "" : "bad" }, truth === filed ? truth : `\u2717 ${truth}`), number(weight.toFixed(4)), percent(share)])),
    tableOf("Each order, by the place of the image in it", ["image", "order", "text", "dynamic", "fused"], places.map(
      ([seed, when, ...right]) => [number(when + 1), number(seed), ...right.map(verdict)])),
    make("p", { className: "note" }, "In full: ", make("code", {}, `dmn explain ${name} --dataset ${dataset} --backbone ${backbone}${options} --order ${order}`)),
  ];
}
function tell() {
  const id = location.hash.slice(1);
  if (!told.has(id)) return;
  const item = document.getElementById(id);
  const explorer = item.closest(".explorer");
  const story = explorer.querySelector(".story");
  explorer.open = true;
  story.replaceChildren(...draw(id));
  story.hidden = false;
  for (const link of all(".samples a", explorer)) link.removeAttribute("aria-current");
  item.firstElementChild.setAttribute("aria-current", "true");
  // a browser that followed a link has let go of it, and the arrows would begin anew
  item.firstElementChild.focus({ preventScroll: true });
  const list = item.parentElement;
  list.scrollTop += item.getBoundingClientRect().top - list.getBoundingClientRect().top - list.clientHeight / 3;
  const beside = matchMedia("(min-width: 62rem)").matches;
  (beside ? explorer : story).scrollIntoView({ block: "start" });
}
for (const explorer of all(".explorer")) {
  const input = explorer.querySelector(".find input");
  input.closest(".find").hidden = false;
  input.addEventListener("input", (event) => { event.stopPropagation(); filter(); });
  // up and down go through the list
  explorer.querySelector(".samples").addEventListener("keydown", (event) => {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!way) return;
    const seen = all("li:not([hidden]) a", event.currentTarget);
    const next = seen[seen.indexOf(document.activeElement) + way];
    if (!next) return;
    event.preventDefault();
    next.focus();
    location.hash = next.hash;
  });
}
addEventListener("hashchange", tell);
tell();
