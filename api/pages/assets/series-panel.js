// The series of an id: metric and granularity, a chart, and downloads.

import { hasAmount, metricsIn, partOf } from "./amounts.js";
import { download, get, iso, urlOf } from "./api.js";
import { Chart, plotted, timeAxis, tooltip, valueAxis } from "./chart.js";
import { el, setOptions } from "./dom.js";
import { brief, clock, count, day, metricOf, METRICS, moment, period, valueOf } from "./format.js";
import { DAY, granularitiesFor } from "./granularities.js";
import { SUMS } from "./measures.js";
import { bucketStarts, timeZone } from "./time-zone.js";

const MAX_USUAL = 100;
const COLUMNS = ["trip_count", "total_revenue", "total_distance", "avg_duration"].map(metricOf);
const FORMATS = [["CSV", "csv", "text/csv"], ["Parquet", "parquet", "application/vnd.apache.parquet"], ["NDJSON", "ndjson", "application/x-ndjson"]];

export class SeriesPanel {
  constructor({ onChange, onMetric }) {
    Object.assign(this, { items: [], missing: null, all: null, isFinal: false });
    const select = (options, chosen, act) => el("select", { onchange: act },
      options.map(([name, value]) => el("option", { value, selected: value === chosen }, name)));
    this.granularities = el("select", { onchange: onChange });
    this.metrics = select(METRICS.map(({ name, key }) => [name, key]), "trip_count", () => { this.draw(); onMetric(this.metric); });
    this.chart = new Chart({ title: "Over time" });
    this.fault = el("p", { class: "down", role: "alert" });
    const control = (name, node) => el("label", { class: "control" }, name, node);
    this.chart.node.querySelector("h2").after(el("div", { class: "controls series-controls" },
      control("Show", this.metrics), control("Granularity", this.granularities)));
    // Links only once they have an address: before the series is loaded there is nothing to download.
    this.chart.node.append(el("div", { class: "exports" }, el("span", { class: "note" }, "Download:"),
      FORMATS.map(([name, ending, type]) => el("a", {
        class: "button", "data-type": type, onclick: (event) => { event.preventDefault(); this.export(ending, type); },
      }, name))), this.fault);
    this.node = this.chart.node;
  }

  /** Offer the metrics of which trips have the amount; `all` are the totals of all ids. */
  offerMetrics(all) {
    this.all = all;
    const offered = metricsIn(all);
    const chosen = offered.find(({ key }) => key === this.metrics.value) ?? offered[0];
    setOptions(this.metrics, offered.map(({ name, key }) => [name, key]), chosen.key);
  }

  /** Offer the granularities for a range, and choose a coarser one by itself rather than too many bars. */
  offerGranularities(length, window) {
    this.offered = granularitiesFor(length, window);
    const usual = this.offered.find(({ step }) => length / step <= MAX_USUAL) ?? this.offered.at(-1);
    const isOffered = this.offered.some(({ value }) => value === this.granularities.value);
    setOptions(this.granularities, this.offered.map(({ name, value }) => [name, value]), isOffered ? this.granularities.value : usual.value);
  }

  get metric() {
    return metricOf(this.metrics.value);
  }

  get step() {
    return this.offered.find(({ value }) => value === this.granularities.value).step;
  }

  /** Load the series of a DateRange. */
  async load(entity, id, range, signal) {
    const { from, to } = range.bounds;
    this.offerGranularities(to - from, range.window);
    const parameters = { id, from: iso(from), to: iso(to), granularity: this.granularities.value, tz: timeZone() };
    let [items, missing] = [[], null];
    try {
      ({ items } = await get(`/windows/${entity}`, parameters, { signal }));
    } catch (problem) {
      // Windows are kept for a time: a coarser granularity may be there.
      if (problem.slug !== "beyond-ledger") throw problem;
      missing = problem.message;
    }
    Object.assign(this, { items, missing, loaded: { entity, parameters, isOfWindows: this.step === range.window } });
    for (const link of this.node.querySelectorAll("a[data-type]")) link.href = urlOf(`/windows/${entity}`, parameters);
    this.draw();
  }

  isComplete(item) {
    return this.isFinal || item.complete;
  }

  /** All buckets of the range, with those that have no trips. */
  withEmptyBuckets() {
    const [from, to] = [this.loaded.parameters.from, this.loaded.parameters.to].map(Date.parse);
    const known = new Map(this.items.map((item) => [Date.parse(item.window_start), item]));
    const starts = this.loaded.isOfWindows
      ? Array.from({ length: (to - from) / this.step }, (_, index) => from + index * this.step)
      : bucketStarts(from, to, this.step);
    return starts.map((start, index) => ({ start, end: starts[index + 1] ?? to, item: known.get(start) ?? null }));
  }

  note(metric) {
    if (!this.items.length) return this.missing ?? "No trips in this range.";
    const name = metric.unit === metric.name.toLowerCase() ? metric.name : `${metric.name}, ${metric.unit}`;
    const totals = Object.fromEntries(SUMS.map((sum) => [sum, this.items.reduce((before, item) => before + item[sum], 0)]));
    const part = partOf(metric.key, totals);
    const shown = part ? `${name} (${part}).` : `${name}.`;
    return this.items.every((item) => this.isComplete(item)) ? shown : `${shown} Pale bars are not complete yet.`;
  }

  draw() {
    if (!this.loaded) return;
    const { metric } = this;
    const buckets = this.withEmptyBuckets();
    const value = ({ item }) => (item ? plotted(valueOf(metric, item)) : metric.of ? null : 0);
    const long = buckets.at(-1).end - buckets[0].start > 2 * DAY;
    const columns = COLUMNS.filter(({ key }) => hasAmount(key, this.all));
    const ends = new Map(buckets.map(({ start, end }) => [start, end]));
    const title = (start) => (this.step >= DAY ? day(start) : period(start, ends.get(start), { withDay: true }));
    const trips = this.items.reduce((sum, item) => sum + item.trip_count, 0);
    this.chart.show({
      note: this.note(metric),
      summary: `${metric.name}: ${this.items.length} buckets with trips, ${count(trips)} trips in total.`,
      columns: [`From (${timeZone()})`, ...columns.map(({ name }) => name), "Complete"].map((name) => ({ name })),
      rows: () => this.items.toReversed().map((item) => [moment(item.window_start),
        ...columns.map(({ key, text }) => text(item[key])), this.isComplete(item) ? "yes" : "not yet"]),
      option: (theme) => ({
        legend: { show: false },
        grid: { left: 4, right: 8, top: 14, bottom: 4, containLabel: true },
        xAxis: timeAxis(theme, long ? day : clock, { from: buckets[0].start, to: buckets.at(-1).start }),
        yAxis: valueAxis(theme, brief),
        tooltip: tooltip(theme, title, metric.text, ""),
        series: [{
          name: metric.name, type: "bar", barCategoryGap: "18%", barMaxWidth: 60, itemStyle: { color: theme.accent },
          data: buckets.map((one) => ({ value: [one.start, value(one)], itemStyle: { opacity: one.item && !this.isComplete(one.item) ? 0.45 : 1 } })),
        }],
      }),
    });
  }

  async export(ending, type) {
    this.fault.textContent = "";
    const { entity, parameters } = this.loaded ?? {};
    if (!entity) return;
    try {
      const url = URL.createObjectURL(await download(`/windows/${entity}`, parameters, type));
      const name = `${entity}-${parameters.id}-${parameters.granularity}.${ending}`.replace(/[^\w.-]+/g, "_");
      el("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (problem) {
      this.fault.textContent = problem.message;
    }
  }
}
