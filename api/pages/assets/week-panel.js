// When: a heat map of the hours of the week, which is a table with coloured cells.

import { get, iso } from "./api.js";
import { classBounds, classOf, colourOf } from "./colour-classes.js";
import { el } from "./dom.js";
import { brief, METRICS, valueOf } from "./format.js";
import { timeZone } from "./time-zone.js";

const DAYS = { mon: "Monday", tue: "Tuesday", wed: "Wednesday", thu: "Thursday", fri: "Friday", sat: "Saturday", sun: "Sunday" };
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);
const MIN_WIDTH = 640;

export class WeekPanel {
  constructor() {
    Object.assign(this, { items: [], metric: METRICS[0], isNarrow: null });
    this.note = el("p", { class: "note" });
    this.table = el("table", { class: "week" });
    this.node = el("section", { class: "panel", "aria-label": "When", hidden: true }, el("h2", {}, "When"), this.note, this.table);
    // With little space, hours are rows: seven columns leave room for the numbers.
    new ResizeObserver(() => this.isNarrow !== this.hasLittleSpace && this.draw()).observe(this.node);
  }

  get hasLittleSpace() {
    return this.node.clientWidth < MIN_WIDTH;
  }

  /** Load the hours of the week of an id, or without one of all ids, over a DateRange. */
  async load(entity, id, range) {
    const { from, to } = range.bounds;
    this.request?.abort();
    const { signal } = (this.request = new AbortController());
    try {
      const { items } = await get(`/week/${entity}`, { id, from: iso(from), to: iso(to), tz: timeZone() }, { signal });
      this.items = items;
    } catch (error) {
      if (error.name === "AbortError") return;
      // The rest of the page says what failed; without Postgres no store can tell hours.
      this.items = [];
    }
    this.draw();
  }

  setMetric(metric) {
    if (metric === this.metric) return;
    this.metric = metric;
    this.draw();
  }

  /** The value of an hour of the week: sums are divided by the number of such hours in the range. */
  valueOf(item) {
    const value = valueOf(this.metric, item);
    return value === null || this.metric.of ? value : value / item.hours;
  }

  draw() {
    const values = new Map(this.items.map((item) => [`${item.weekday} ${item.hour}`, this.valueOf(item)]));
    const known = [...values.values()].filter((value) => value > 0);
    this.node.hidden = !known.length;
    const { name, of } = this.metric;
    const what = of ? name : `${name} per hour`;
    this.note.textContent = `${what}, by the hours of ${timeZone()}. Highest: ${this.highest(Math.max(...known))}.`;
    const limits = classBounds(known);
    const cell = (day, hour) => {
      const value = values.get(`${day} ${hour}`) ?? null;
      return el("td", { class: `fill-${value ? colourOf(classOf(value, limits), limits) : "none"}` }, value === null ? "" : brief(value));
    };
    this.isNarrow = this.hasLittleSpace;
    const [rows, columns, at] = this.isNarrow
      ? [HOURS, Object.keys(DAYS), (hour, day) => cell(day, hour)]
      : [Object.keys(DAYS), HOURS, cell];
    this.table.replaceChildren(
      el("caption", { class: "visually-hidden" }, `${what}, by weekday and hour`),
      el("thead", {}, el("tr", {}, el("td", {}), columns.map((column) => heading("col", column)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, heading("row", row), columns.map((column) => at(row, column))))));
  }

  /** When the highest value is, as `Saturday, 14:00: 95`. */
  highest(value) {
    const item = this.items.find((each) => this.valueOf(each) === value);
    return item ? `${DAYS[item.weekday]}, ${String(item.hour).padStart(2, "0")}:00, ${this.metric.text(value)}` : "";
  }
}

/** The header of an hour or a weekday. */
function heading(scope, of) {
  return DAYS[of] ? el("th", { scope, abbr: DAYS[of] }, DAYS[of].slice(0, 3)) : el("th", { scope }, String(of).padStart(2, "0"));
}
