// Elements without HTML strings: whatever is data ends up as text.

/** Make an element. `properties`: class, data-*, aria-*, on* listeners, others as DOM properties. */
export function el(tag, properties = {}, ...children) {
  return fill(assign(document.createElement(tag), properties), children);
}

/** Make an SVG element; every property is an attribute. */
export function svg(tag, properties = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  return fill(node, children);
}

function assign(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "for" || name === "role" || name.includes("-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  return node;
}

function fill(node, children) {
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** A number for people that programs can read too. */
export function data(value, text, properties = {}) {
  return el("data", { value: value === null ? "" : String(value), ...properties }, text);
}

/** A number in a panel of its own, with more about it below; one that is not known yet is loading. */
export function figure(name, id, value, text, more) {
  const missing = value === null || value === undefined;
  return el("div", { class: "figure panel" }, el("dt", {}, name),
    el("dd", { class: "value" }, missing ? el("span", { class: "loading" }) : data(value, text(value), { id })),
    el("dd", { class: "more" }, more));
}

/** A table: columns are {name, text?}, rows hold nodes or text; the first cell of a row heads it. */
export function table(caption, columns, rows) {
  const side = (index) => (columns[index].text ? { class: "text" } : {});
  return el("table", {},
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, columns.map((column, index) => el("th", { scope: "col", ...side(index) }, column.name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, index) =>
      (index ? el("td", side(index), cell) : el("th", { scope: "row" }, cell)))))),
  );
}

/** What stands where nothing can be shown: `kind` is `loading`, `empty` or `bad`. */
export function state(kind, title, more = "") {
  return el("div", { class: `state ${kind}`, role: kind === "bad" ? "alert" : "status" },
    el("strong", {}, title), el("span", {}, more));
}

/** Replace what is in a node. The focus stays on the control with the same data-id. */
export function redraw(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.id : undefined;
  node.replaceChildren(...children);
  if (focused === undefined) return;
  controls(node).find(({ dataset }) => dataset.id === focused)?.focus({ preventScroll: true });
}

/** Whether the keyboard has the focus somewhere in a node. */
export const hasKeyboard = (node) => node.querySelector(":focus-visible") !== null;

/** The ids of a list in the order to draw them: as they are in it now while the keyboard goes through it. */
export function steady(node, ids) {
  return hasKeyboard(node) ? controls(node).map(({ dataset }) => dataset.id) : ids;
}

const controls = (node) => [...node.querySelectorAll("[data-id]")];

/** The present value of a colour of base.css, as a canvas understands it. */
export function colour(name) {
  probe.style.color = `var(--${name})`;
  if (!probe.isConnected) document.body.append(probe);
  return getComputedStyle(probe).color;
}
const probe = el("span", { class: "unseen", "aria-hidden": "true" });

const themes = new Set();
/** Call back when light becomes dark, or the other way. */
export function onTheme(listener) {
  themes.add(listener);
}
const tell = () => themes.forEach((listener) => listener());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
new MutationObserver(tell).observe(document.documentElement, { attributeFilter: ["data-theme"] });

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
