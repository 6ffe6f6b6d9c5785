// Elements, made without HTML strings: data is always text.

/** Create an element. `properties`: class, data-*, aria-*, on* listeners, others as DOM properties. */
export function el(tag, properties = {}, ...children) {
  return fill(assign(document.createElement(tag), properties), children);
}

/** Create an SVG element; every property is an attribute. */
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

/** A formatted number with its exact value. */
export function data(value, text, properties = {}) {
  return el("data", { value: String(value ?? ""), ...properties }, text);
}

/** A text as nodes, with `commands` in it as code. */
export const withCode = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));

/** A panel with a number and a text about it; it is loading if the value is undefined, and not known if it is null. */
export function figure(name, id, value, text, more) {
  return el("div", { class: "figure panel" }, el("dt", {}, name),
    el("dd", { class: "value" }, value === undefined ? el("span", { class: "loading" }) : data(value, text(value), { id })),
    el("dd", { class: "more" }, more));
}

/** Set the options of a select, each [name, value]. Equal ones stay as they are: the list may be open. */
export function setOptions(select, options, chosen) {
  const before = [...select.options].map(({ value }) => value);
  if (before.length !== options.length || options.some(([, value], index) => String(value) !== before[index])) {
    select.replaceChildren(...options.map(([name, value]) => el("option", { value }, name)));
  }
  if (select.value !== String(chosen)) select.value = String(chosen);
}

/** A table: columns are {name, text?}, rows have nodes or text; the first cell of a row is its header. */
export function table(caption, columns, rows) {
  const side = (index) => (columns[index].text ? { class: "text" } : {});
  return el("table", {},
    el("caption", { class: "visually-hidden" }, caption),
    el("thead", {}, el("tr", {}, columns.map((column, index) => el("th", { scope: "col", ...side(index) }, column.name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, index) =>
      (index ? el("td", { ...side(index), "data-name": columns[index].name }, cell) : el("th", { scope: "row" }, cell)))))),
  );
}

const controlsIn = (node) => [...node.querySelectorAll("[data-id]")];

/**
 * Items in a stable order: while the keyboard focus is in `node`, its items come first, in the order in
 * which it shows them, so that Tab neither skips nor repeats a control.
 */
export function keepOrder(node, items) {
  if (!node.contains(document.activeElement) || !document.activeElement.matches(":focus-visible")) return items;
  const positions = new Map(controlsIn(node).map((control, index) => [control.dataset.id, index]));
  const position = ({ id }) => positions.get(id) ?? Infinity;
  return items.toSorted((a, b) => (position(a) === position(b) ? 0 : position(a) - position(b)));
}

/** Draw `node` again; the focus returns to the control with the same `data-id`, or in the same position. */
export function keepFocus(node, draw) {
  const index = controlsIn(node).indexOf(document.activeElement);
  const id = document.activeElement?.dataset.id;
  draw();
  if (index < 0) return;
  const controls = controlsIn(node);
  (controls.find((control) => control.dataset.id === id) ?? controls[Math.min(index, controls.length - 1)])?.focus();
}

/** A message in place of content: `kind` is `loading`, `empty` or `bad`. */
export function notice(kind, title, more = "") {
  return el("div", { class: `state ${kind}`, role: kind === "bad" ? "alert" : "status" },
    el("strong", {}, title), el("span", {}, more));
}

/** The current value of a colour of base.css, for a canvas. */
export function colour(name) {
  probe.style.color = `var(--${name})`;
  if (!probe.isConnected) document.body.append(probe);
  return getComputedStyle(probe).color;
}
const probe = el("span", { class: "visually-hidden", "aria-hidden": "true" });

const themeListeners = new Set();
/** Call the listener when the theme changes. */
export function onTheme(listener) {
  themeListeners.add(listener);
}
const notify = () => themeListeners.forEach((listener) => listener());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", notify);
new MutationObserver(notify).observe(document.documentElement, { attributeFilter: ["data-theme"] });

export const prefersReducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
