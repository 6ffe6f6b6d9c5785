// The control of the range: one range back and forth, presets, and times.

import { el } from "./dom.js";
import { rangeText } from "./format.js";
import { localTime, timeZone } from "./time-zone.js";

const PRESETS = [
  ["Last 15 minutes", "now-15m"], ["Last hour", "now-1h"], ["Last 6 hours", "now-6h"], ["Last 24 hours", "now-24h"],
  ["Today", "now/d"], ["Last 7 days", "now-7d"], ["Last 31 days", "now-31d"],
].map(([name, from]) => ({ name, from, to: null }));

export class RangePicker {
  /** `range` is the DateRange that it shows and sets. */
  constructor(range) {
    this.range = range;
    const step = (direction, label, key, sign) => el("button", {
      type: "button", class: "step", "aria-label": label, title: `${label} (Shift+${sign})`, "aria-keyshortcuts": `Shift+${key}`,
      onclick: () => this.step(direction),
    }, sign);
    this.back = step(-1, "Range before", "ArrowLeft", "←");
    this.forth = step(1, "Range after", "ArrowRight", "→");
    this.button = el("button", { type: "button", class: "chosen", "aria-expanded": "false", "aria-controls": "range-choices", onclick: () => this.expand(this.choices.hidden) }, "Range");
    this.zone = el("p", { class: "note" });
    const input = (name) => el("input", { type: "datetime-local", name, required: true });
    [this.from, this.to] = [input("from"), input("to")];
    this.fault = el("p", { class: "down", role: "alert" });
    this.presets = el("div", { class: "presets", role: "group", "aria-label": "Presets" });
    this.choices = el("div", { class: "choices", id: "range-choices", hidden: true },
      this.presets,
      el("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.submit(); } },
        el("label", { class: "control" }, "From", this.from),
        el("label", { class: "control" }, "Until", this.to),
        this.zone, this.fault,
        el("button", { class: "primary" }, "Show this range")));
    this.node = el("div", { class: "range", role: "group", "aria-label": "Range", onkeydown: (event) => this.escape(event) },
      this.back, this.button, this.forth, this.choices);
    range.onChoice(() => this.show());
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("pointerdown", ({ target }) => { if (!this.node.contains(target)) this.expand(false); });
  }

  /** Show the range; called when it is chosen, and when the end of the data has moved. */
  show() {
    const { from, to } = this.range.bounds;
    const text = this.preset?.name ?? rangeText(from, to);
    if (this.button.textContent !== text) this.button.textContent = text;
    // A button that is disabled would lose the focus.
    [[this.back, -1], [this.forth, 1]].forEach(([button, direction]) => button.setAttribute("aria-disabled", String(!this.range.hasMore(direction))));
  }

  /** The preset that is chosen, if it moves with the data; a range that does not move is shown by its times. */
  get preset() {
    const { from, to } = this.range.texts;
    return to === null ? this.offered().find((preset) => preset.from === from && preset.to === null) : null;
  }

  offered() {
    const { all, ended, now, window } = this.range;
    const found = PRESETS.filter(({ from }) => now - this.range.boundAt(from) >= window)
      .map((preset) => (ended && preset.from === "now/d" ? { ...preset, name: "Last day" } : preset));
    return all ? [...found, { name: "All data", ...all }] : found;
  }

  expand(isOpen) {
    if (this.choices.hidden !== isOpen || this.range.now === null) return;
    this.choices.hidden = !isOpen;
    this.button.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) return;
    const { from, to } = this.range.bounds;
    const chosen = this.range.texts;
    this.from.value = inputValue(from);
    this.to.value = inputValue(to);
    this.zone.textContent = `Times of ${timeZone()}; the end is not included.`;
    this.fault.textContent = "";
    this.presets.replaceChildren(...this.offered().map((preset) => el("button", {
      type: "button", "aria-pressed": String(preset.from === chosen.from && preset.to === chosen.to),
      onclick: () => { this.range.choose(preset); this.close(); },
    }, preset.name)));
  }

  step(direction) {
    if (this.range.now !== null) this.range.step(direction);
  }

  close() {
    this.expand(false);
    this.button.focus();
  }

  submit() {
    const [from, to] = [this.from, this.to].map(({ value }) => value);
    this.fault.textContent = !from || !to ? "Both times are needed, with their day." : from >= to ? "The range must end after it begins." : "";
    if (this.fault.textContent) return;
    this.range.choose({ from: shortened(from), to: shortened(to) });
    this.close();
  }

  escape(event) {
    if (event.key !== "Escape" || this.choices.hidden) return;
    event.preventDefault();
    this.close();
  }

  key(event) {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    // In a field and on the map these keys have another meaning.
    if (!direction || !event.shiftKey || event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, canvas")) return;
    event.preventDefault();
    this.step(direction);
  }
}

const inputValue = (time) => new Date(localTime(time)).toISOString().slice(0, 16);
const shortened = (text) => text.replace(/T00:00$/, "");
