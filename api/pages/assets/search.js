// Search for an id by its prefix: a combobox by the ARIA Authoring Practices.

import { get } from "./api.js";
import { el } from "./dom.js";
import { count, ENTITIES } from "./format.js";

const MAX_RESULTS = 12;
const DELAY = 120;

/** Selects an entity and an id: `onSelect(entity, id)` for an id, `onEntity(entity)` for another entity. */
export class Search {
  constructor({ entity, id, onSelect, onEntity }) {
    Object.assign(this, { onSelect, items: [], active: -1 });
    this.entities = el("select", { id: "entity", onchange: () => { this.close(); onEntity(this.entity); } },
      ENTITIES.map(({ name, title }) => el("option", { value: name, selected: name === entity }, title)));
    // A list that scrolls is focusable with Tab; but the list closes when the input loses the focus.
    this.list = el("ul", { id: "found", role: "listbox", class: "found", hidden: true, tabIndex: -1, "aria-label": "Ids with this prefix" });
    this.input = el("input", {
      type: "search", id: "search", role: "combobox", autocomplete: "off", spellcheck: false, value: id ?? "",
      "aria-controls": "found", "aria-expanded": "false", "aria-autocomplete": "list",
      oninput: () => this.searchLater(), onfocus: () => this.searchLater(), onblur: () => this.close(), onkeydown: (event) => this.key(event),
    });
    this.status = el("span", { class: "visually-hidden", role: "status" });
    this.node = el("form", { class: "controls search", role: "search", onsubmit: (event) => { event.preventDefault(); this.select(); } },
      el("label", { class: "control" }, "Entity", this.entities),
      el("div", { class: "control grow" }, el("label", { for: "search" }, "Id or prefix"), el("div", { class: "box" }, this.input, this.list)),
      el("button", { class: "primary" }, "Show"), this.status);
    this.placeholder();
  }

  get entity() {
    return this.entities.value;
  }

  /** Show an entity and an id that were selected elsewhere. */
  set(entity, id) {
    this.entities.value = entity;
    this.input.value = id ?? "";
    this.placeholder();
  }

  placeholder() {
    const examples = { driver: "d0001…", passenger: "p0001…", vehicle_type: "car, bike…", h3: "893933…" };
    this.input.placeholder = examples[this.entity] ?? "";
  }

  searchLater() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(), DELAY);
  }

  async search() {
    this.request?.abort();
    this.request = new AbortController();
    const prefix = this.input.value;
    try {
      const parameters = { prefix, limit: MAX_RESULTS, sort: prefix ? null : "-trips" };
      const found = await get(`/metrics/${this.entity}`, parameters, { signal: this.request.signal });
      this.open(found.items, found.total);
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = error.message;
    }
  }

  open(items, total) {
    if (document.activeElement !== this.input) return;
    this.items = items;
    this.active = -1;
    this.list.replaceChildren(...items.map((item, index) => el("li", {
      id: `found-${index}`, role: "option", "aria-selected": "false",
      onpointerdown: (event) => { event.preventDefault(); this.active = index; this.select(); },
    }, el("span", { class: "mono" }, item.id), el("span", { class: "note" }, `${count(item.trip_count)} trips`))));
    if (!items.length) this.list.replaceChildren(el("li", { class: "note", role: "option", "aria-disabled": "true" }, "No id has this prefix"));
    this.expand(true);
    this.status.textContent = `${count(total)} found`;
  }

  expand(open) {
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    if (!open) this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.active = -1;
    this.expand(false);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.list.hidden) this.search();
    else if (step && this.items.length) this.activate((this.active + step + this.items.length) % this.items.length);
    else if (event.key === "Escape" && !this.list.hidden) this.close();
    else return;
    event.preventDefault();
  }

  activate(index) {
    this.active = index;
    [...this.list.children].forEach((line, position) => line.setAttribute("aria-selected", String(position === index)));
    this.input.setAttribute("aria-activedescendant", `found-${index}`);
    this.list.children[index].scrollIntoView({ block: "nearest" });
  }

  select() {
    const id = this.items[this.active]?.id ?? this.input.value;
    this.close();
    if (!id) return;
    this.onSelect(this.entity, id);
  }
}
