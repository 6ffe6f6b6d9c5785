// Beside the map: what is shown, its sums, the hot cells, and places that are no cells.

import { address } from "./api.js";
import { isCell } from "./cells.js";
import { data, el, hasKeyboard, redraw, steady } from "./dom.js";
import { count, decimal, metricOf, METRICS, minutes, money, shortId, valueOf } from "./format.js";

const HOT = 12;
const PLACES = 60;
const ENOUGH = 5;
const NO_TRIPS = { trip_count: 0, total_revenue: 0, total_distance: 0, total_duration: 0 };
const SPANS = [["5 minutes", 5], ["15 minutes", 15], ["1 hour", 60], ["6 hours", 360], ["24 hours", 1440]];

export class CityPanel {
  constructor({ window, metric, span, onMetric, onSpan, onCell }) {
    Object.assign(this, { onCell, picked: null, held: [] });
    const spans = SPANS.filter(([, length]) => (length * 60_000) % window === 0);
    this.metrics = el("select", { onchange: () => onMetric(metricOf(this.metrics.value)) },
      METRICS.map(({ key, name }) => el("option", { value: key, selected: key === metric.key }, name)));
    this.spans = el("select", { onchange: () => onSpan(this.length) },
      spans.map(([name, length]) => el("option", { value: length, selected: length === (span || 15) }, name)));
    this.sums = el("dl", { class: "sums" });
    this.selected = el("section", { hidden: true, "aria-live": "polite" });
    this.hot = el("ol", { class: "hot" });
    this.hotTitle = el("h2", {}, "Hot cells");
    this.hotNote = el("p", { class: "note" });
    this.places = el("ul", { class: "places" });
    this.placesNote = el("p", { class: "note" });
    this.placesSection = el("section", { hidden: true },
      el("h2", {}, "Places without coordinates"),
      el("p", { class: "note" }, "Trips that only name their start: no cell on the map."),
      this.places, this.placesNote);
    this.node = el("aside", { class: "side", "aria-label": "Numbers" },
      el("section", {}, this.sums, el("div", { class: "controls" },
        el("label", { class: "control" }, "Colour by", this.metrics),
        el("label", { class: "control" }, "Over", this.spans))),
      this.selected,
      el("section", {}, this.hotTitle, this.hotNote, this.hot),
      this.placesSection);
    this.node.addEventListener("focusout", () => setTimeout(() => this.release()));
  }

  /** How long the shown span is, in ms. */
  get length() {
    return Number(this.spans.value) * 60_000;
  }

  /** Show an answer of /top/h3; `step` gives the colour of totals. */
  show(answer, metric, step) {
    this.shown = [answer, metric, step];
    this.held = [this.hot, this.places].filter(hasKeyboard);
    const { total, active_ids: active, items, complete } = answer;
    this.sums.replaceChildren(...[
      ["Trips", data(total.trip_count, count(total.trip_count), { id: "sum-trips" })],
      ["Revenue", data(total.total_revenue, money(total.total_revenue), { id: "sum-revenue" })],
      ["Cells with trips", data(active, count(active), { id: "sum-cells" })],
      ["Is it final?", complete ? "Yes" : "Not yet"],
    ].map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    // A mean of a few trips says little of a cell: it may be hot by chance.
    const least = metric.of ? ENOUGH : 0;
    const sorted = items.filter((item) => isCell(item.id) && item.trip_count >= least).sort((a, b) => valueOf(metric, b) - valueOf(metric, a));
    const most = sorted.length ? valueOf(metric, sorted[0]) : 1;
    this.hotTitle.textContent = sorted.length ? `Hot cells by ${metric.name.toLowerCase()}` : "No cell is hot";
    this.hotNote.textContent = [
      least ? `Of those with at least ${ENOUGH} trips.` : "",
      active > items.length ? `The map shows the first ${count(items.length)} of ${count(active)}.` : "",
    ].join(" ");
    this.draw(this.hot, sorted, HOT, (item, rank) => this.line(item, rank, metric, most));
    this.showPlaces(items.filter(({ id }) => !isCell(id)), metric, step);
  }

  /** Draw a line for each of the first items. Those that the keyboard goes through stay, with new numbers. */
  draw(list, items, most, line) {
    const ranks = new Map(items.map((item, index) => [item.id, index]));
    const known = new Map(this.shown[0].items.map((item) => [item.id, item]));
    const ids = steady(list, items.slice(0, most).map(({ id }) => id));
    redraw(list, ...ids.map((id) => line(known.get(id) ?? { ...NO_TRIPS, id }, ranks.get(id))));
  }

  /** Draw a list that was held as it is now, when the keyboard has left it. */
  release() {
    if (!this.held.every(hasKeyboard)) this.show(...this.shown);
  }

  line(item, rank, metric, most) {
    const value = valueOf(metric, item);
    const bar = el("i");
    bar.style.width = `${Math.max(1, (value / (most || 1)) * 100)}%`;
    return el("li", {}, el("button", {
      type: "button", title: item.id, "data-id": item.id, "aria-pressed": String(item.id === this.picked),
      onclick: () => { this.picked = item.id; this.onCell(item.id); },
    },
      el("span", { class: "rank" }, rank === undefined ? "–" : rank + 1), el("span", { class: "mono" }, shortId(item.id)),
      data(value, metric.text(value)), el("span", { class: "bar" }, bar)));
  }

  showPlaces(places, metric, step) {
    this.draw(this.places, places, PLACES, (place) => el("li", {},
      el("a", { href: link(place.id), "data-id": place.id }, el("span", { class: `swatch fill-${step(place)}` }), el("span", {}, place.id),
        data(valueOf(metric, place), metric.text(valueOf(metric, place))))));
    this.placesSection.hidden = !this.places.hasChildNodes();
    this.placesNote.textContent = places.length > PLACES ? `and ${count(places.length - PLACES)} more` : "";
  }

  /** Show the cell that was picked on the map, or nothing. */
  select(cell) {
    this.selected.hidden = !cell;
    if (!cell) return;
    const trips = cell.trip_count || 1;
    redraw(this.selected,
      el("h2", {}, cell.cells > 1 ? `${count(cell.cells)} cells together` : "Chosen cell"),
      el("p", { class: "mono" }, cell.id),
      el("p", {}, `${count(cell.trip_count)} trips, revenue ${money(cell.total_revenue)}; `,
        `${decimal(cell.total_distance / trips)} km and ${minutes(cell.total_duration / trips)} per trip.`),
      el("p", {}, cell.cells > 1 ? "Zoom in to see them one by one." : el("a", { href: link(cell.id), "data-id": cell.id }, "Its whole story")));
  }
}

const link = (id) => address("/entity", { entity: "h3", id });
