// The panel beside the map: metric, sums, the top cells, and ids that are not cells.

import { rangeQuery } from "./address.js";
import { hasAmount, metricsIn, partNote } from "./amounts.js";
import { urlOf } from "./api.js";
import { meansText, revenueText } from "./cell-text.js";
import { isCell } from "./cells.js";
import { data, el, keepFocus, keepOrder, setOptions } from "./dom.js";
import { count, metricOf, METRICS, money, shortId, valueOf } from "./format.js";

const MAX_TOP_CELLS = 12;
const MAX_PLACES = 60;
const MIN_TRIPS = 5;

export class CityPanel {
  constructor({ metric, onMetric, onCell }) {
    Object.assign(this, { onCell, selectedId: null });
    this.metrics = el("select", { onchange: () => onMetric(metricOf(this.metrics.value)) },
      METRICS.map(({ key, name }) => el("option", { value: key, selected: key === metric.key }, name)));
    this.sums = el("dl", { class: "sums" });
    this.unplaced = el("p", { class: "note", hidden: true });
    this.selected = el("section", { hidden: true, "aria-live": "polite" });
    this.topCells = el("ol", { class: "top-cells" });
    this.topTitle = el("h2", {}, "Top cells");
    this.topNote = el("p", { class: "note" });
    this.top = el("section", {}, this.topTitle, this.topNote, this.topCells);
    this.places = el("section", { hidden: true });
    this.node = el("aside", { class: "side", "aria-label": "Numbers" },
      el("section", {}, this.sums, this.unplaced, el("div", { class: "controls" },
        el("label", { class: "control" }, "Colour by", this.metrics))),
      this.selected,
      this.top,
      this.places);
  }

  /** Offer the metrics of which trips have the amount; `all` are the totals of all trips. */
  offerMetrics(all, metric) {
    setOptions(this.metrics, metricsIn(all).map(({ key, name }) => [name, key]), metric.key);
  }

  /** Show a response of /top/h3; `all` are the totals of all trips, `colour` returns the colour of totals. */
  show(top, metric, all, colour) {
    const { total, active_ids: active, items, complete } = top;
    const places = items.filter(({ id }) => !isCell(id));
    const what = !places.length ? "Cells with trips" : places.length < items.length ? "Cells and locations" : "Locations with trips";
    this.sums.replaceChildren(...[
      ["Trips", data(total.trip_count, count(total.trip_count), { id: "sum-trips" })],
      hasAmount("total_revenue", all) && ["Revenue", [data(total.total_revenue, money(total.total_revenue), { id: "sum-revenue" }), partNote("total_revenue", total)]],
      [what, data(active, count(active), { id: "sum-cells" })],
      ["Complete", complete ? "Yes" : "Not yet"],
    ].filter(Boolean).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    // The mean of a few trips may be high by chance.
    const minTrips = metric.of ? MIN_TRIPS : 0;
    const cells = items.filter(({ id }) => isCell(id));
    const known = cells.filter((item) => valueOf(metric, item) !== null);
    const sorted = known.filter((item) => item[metric.count] >= minTrips).sort((a, b) => valueOf(metric, b) - valueOf(metric, a));
    const highest = sorted.length ? valueOf(metric, sorted[0]) : 1;
    this.topTitle.textContent = sorted.length ? `Top cells by ${metric.name.toLowerCase()}` : "No cells";
    this.top.hidden = !cells.length && places.length > 0;
    this.topNote.textContent = [
      minTrips ? `Cells with at least ${MIN_TRIPS} trips.` : "",
      known.length < cells.length ? `Not listed: ${count(cells.length - known.length)} cells without this amount.` : "",
      active > items.length ? `The map shows the first ${count(items.length)} of ${count(active)}.` : "",
    ].join(" ");
    const shown = keepOrder(this.topCells, sorted).slice(0, MAX_TOP_CELLS);
    keepFocus(this.topCells, () => this.topCells.replaceChildren(...shown.map((item) => this.line(item, sorted.indexOf(item) + 1, metric, highest))));
    this.showPlaces(places, metric, cells.length ? colour : null);
  }

  /** Show the number of trips that have no place. */
  showUnplaced(trips) {
    this.unplaced.hidden = !trips;
    this.unplaced.replaceChildren("Trips of this range without a place, which are in no cell: ", data(trips, count(trips), { id: "unplaced" }));
  }

  line(item, rank, metric, highest) {
    const value = valueOf(metric, item);
    const bar = el("i");
    bar.style.width = `${Math.max(1, (value / (highest || 1)) * 100)}%`;
    return el("li", {}, el("button", {
      type: "button", title: item.id, "data-id": item.id, "aria-pressed": String(item.id === this.selectedId),
      onclick: () => { this.selectedId = item.id; this.onCell(item.id); },
    },
      el("span", { class: "rank" }, rank), el("span", { class: "mono" }, shortId(item.id)),
      data(value, metric.text(value)), el("span", { class: "bar" }, bar)));
  }

  /** Show locations that are not cells; with the colours of the map, if it has any. */
  showPlaces(places, metric, colour) {
    this.places.hidden = !places.length;
    const trips = places.reduce((sum, place) => sum + place.trip_count, 0);
    const shown = keepOrder(this.places, places).slice(0, MAX_PLACES);
    keepFocus(this.places, () => this.places.replaceChildren(
      el("h2", {}, "Locations without coordinates"),
      el("p", { class: "note" }, "Trips with a location id but no coordinates, which are not on the map: ", data(trips, count(trips), { id: "sum-places" })),
      el("ul", { class: "places" }, shown.map((place) => el("li", {},
        el("a", { href: link(place.id), "data-id": place.id }, colour && el("span", { class: `swatch fill-${colour(place) ?? "none"}` }), el("span", {}, place.id),
          data(valueOf(metric, place), metric.text(valueOf(metric, place))))))),
      places.length > MAX_PLACES ? el("p", { class: "note" }, `and ${count(places.length - MAX_PLACES)} more`) : ""));
  }

  /** Show the cell that was selected on the map, or nothing. */
  select(cell) {
    this.selected.hidden = !cell;
    if (!cell) return;
    const revenue = revenueText(cell);
    keepFocus(this.selected, () => this.selected.replaceChildren(
      el("h2", {}, cell.cells > 1 ? `${count(cell.cells)} cells` : "Selected cell"),
      el("p", { class: "mono" }, cell.id),
      el("p", {}, `${count(cell.trip_count)} trips${revenue ? `, ${revenue}` : ""}; ${meansText(cell)}.`),
      el("p", {}, cell.cells > 1 ? "Zoom in to see each of them." : el("a", { href: link(cell.id), "data-id": cell.id }, "Details"))));
  }
}

const link = (id) => urlOf("/entity", { entity: "h3", id, ...rangeQuery() });
