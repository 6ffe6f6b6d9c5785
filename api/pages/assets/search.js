// Finding an id by how it begins: a combobox as the ARIA practices have it.

import { get } from "./api.js";
import { el } from "./dom.js";
import { count, ENTITIES } from "./format.js";

const SHOWN = 12;
const PAUSE = 120;

/** Entity and id; `onChoose(entity, id)` when one is taken, `onEntity(entity)` when only that changes. */
export class Search {
  constructor({ entity, id, onChoose, onEntity }) {
    Object.assign(this, { onChoose, items: [], active: -1 });
    this.entities = el("select", { id: "entity", onchange: () => { this.close(); onEntity(this.entity); } },
      ENTITIES.map(({ name, title }) => el("option", { value: name, selected: name === entity }, title)));
    // The list scrolls, which would make it a stop for Tab: there it closes, and the focus would be nowhere.
    this.list = el("ul", { id: "found", role: "listbox", class: "found", hidden: true, tabIndex: -1, "aria-label": "Ids that begin so" });
    this.input = el("input", {
      type: "search", id: "search", role: "combobox", autocomplete: "off", spellcheck: false, value: id ?? "",
      "aria-controls": "found", "aria-expanded": "false", "aria-autocomplete": "list",
      oninput: () => this.later(), onfocus: () => this.later(), onblur: () => this.close(), onkeydown: (event) => this.key(event),
    });
    this.status = el("span", { class: "unseen", role: "status" });
    this.node = el("form", { class: "controls search", role: "search", onsubmit: (event) => { event.preventDefault(); this.take(); } },
      el("label", { class: "control" }, "Find a", this.entities),
      el("div", { class: "control grow" }, el("label", { for: "search" }, "Id, or how it begins"), el("div", { class: "box" }, this.input, this.list)),
      el("button", { class: "primary" }, "Show"), this.status);
    this.placeholder();
  }

  get entity() {
    return this.entities.value;
  }

  /** Show what was chosen elsewhere. */
  put(entity, id) {
    this.entities.value = entity;
    this.input.value = id ?? "";
    this.placeholder();
  }

  placeholder() {
    const examples = { driver: "d0001…", passenger: "p0001…", vehicle_type: "car, bike…", h3: "893933…" };
    this.input.placeholder = examples[this.entity] ?? "";
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PAUSE);
  }

  async ask() {
    this.question?.abort();
    this.question = new AbortController();
    const prefix = this.input.value;
    try {
      const parameters = { prefix, limit: SHOWN, sort: prefix ? null : "-trips" };
      const found = await get(`/metrics/${this.entity}`, parameters, { signal: this.question.signal });
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
      onpointerdown: (event) => { event.preventDefault(); this.active = index; this.take(); },
    }, el("span", { class: "mono" }, item.id), el("span", { class: "note" }, `${count(item.trip_count)} trips`))));
    if (!items.length) this.list.replaceChildren(el("li", { class: "note", role: "option", "aria-disabled": "true" }, "No id begins so"));
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
    this.question?.abort();
    this.active = -1;
    this.expand(false);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.list.hidden) this.ask();
    else if (step && this.items.length) this.mark((this.active + step + this.items.length) % this.items.length);
    else if (event.key === "Escape" && !this.list.hidden) this.close();
    else return;
    event.preventDefault();
  }

  mark(index) {
    this.active = index;
    [...this.list.children].forEach((line, place) => line.setAttribute("aria-selected", String(place === index)));
    this.input.setAttribute("aria-activedescendant", `found-${index}`);
    this.list.children[index].scrollIntoView({ block: "nearest" });
  }

  take() {
    const id = this.items[this.active]?.id ?? this.input.value;
    this.close();
    if (!id) return;
    this.onChoose(this.entity, id);
  }
}
