// Overview: the totals of a range compared with those of the range before, by vehicle type, and the
// current rate of trips. While trips come it opens on the last hour of event time.

import { rangeQuery } from "./address.js";
import { allTrips, hasAmount, partNote } from "./amounts.js";
import { get, iso, subscribe, throttle, urlOf } from "./api.js";
import { Chart } from "./chart.js";
import { DateRange } from "./date-range.js";
import { data, el, figure, keepFocus, keepOrder, notice, table } from "./dom.js";
import { count, decimal, metricOf, money, percent, rangeText } from "./format.js";
import { frame, hasEnded, onStatus } from "./frame.js";
import { granularitiesFor } from "./granularities.js";
import { revenueByType, tripsByType, tripsPerSecond } from "./overview-charts.js";
import { RangePicker } from "./range-picker.js";
import { bucketStarts, timeZone, zoneAt } from "./time-zone.js";
import { TripRate } from "./trip-rate.js";

const HOUR = 3600_000;
const HOURS_BEFORE = 3; // of a short range that ends with the data, for what led to it
const MAX_TYPES = 4;
const MAX_BARS = 100;

frame("Overview");
const tripRate = new TripRate();
const range = new DateRange({ live: "now-1h", isClosed: true });
const picker = new RangePicker(range);
const view = { totals: null, chart: null, ended: false, asOf: null, request: null };

const figures = el("dl", { class: "figures" });
const charts = {
  second: new Chart({ title: "Trips counted per second", note: "The last three minutes of the wall clock. The chart starts when the page is opened.", small: true }),
  types: new Chart({ title: "Trips by vehicle type" }),
  revenue: new Chart({ title: "Revenue by vehicle type", small: true }),
};
const kinds = el("div", { class: "scroll kinds", tabIndex: 0, role: "region", "aria-label": "Vehicle types: table" });
const heading = el("p", { class: "note" });
const message = el("div", { hidden: true });
document.getElementById("main").append(
  el("div", { class: "heading" }, el("h1", {}, "Overview"), heading),
  el("section", { class: "panel controls", "aria-label": "Range" }, picker.node),
  message, figures, charts.second.node, charts.types.node,
  el("div", { class: "pair" }, charts.revenue.node,
    el("section", { class: "panel", "aria-label": "Vehicle types" }, el("h2", {}, "Vehicle types"), kinds)),
);
drawFigures(null);

async function load() {
  if (range.now === null) return;
  view.request?.abort();
  const { signal } = (view.request = new AbortController());
  try {
    const { bounds, before, parameters } = range;
    const hasRevenue = hasAmount("total_revenue", await allTrips());
    const by = hasRevenue ? "revenue" : "trips";
    const ask = (of) => [get("/summary/driver", of, { signal }), get("/top/vehicle_type", { ...of, by, limit: 50 }, { signal })];
    const [drivers, top, driversBefore = null, topBefore = null] = await Promise.all([
      ...ask(parameters), ...(before ? ask({ from: iso(before.from), to: iso(before.to) }) : []),
    ]);
    const chart = await loadChart(bounds, signal);
    Object.assign(view, { totals: { bounds, before, hasRevenue, drivers, driversBefore, top, topBefore }, chart });
    message.hidden = true;
    draw();
  } catch (error) {
    if (error.name !== "AbortError") showNotice(notice("bad", error.title ?? "The page failed", error.message));
  }
}

/** The series of the vehicle types with the most trips, which are sorted by name. */
async function loadChart({ from, to }, signal) {
  const { window, follows } = range;
  // Windows that have not closed are shown as well, where the range ends with the data.
  const last = follows && !view.ended ? Math.ceil((view.asOf + 1) / window) * window : Math.min(to, range.now);
  const first = last > to ? Math.min(from, to - HOURS_BEFORE * HOUR) : Math.min(Math.max(from, range.extent?.from ?? from), last - window);
  const granularities = granularitiesFor(last - first, window);
  const { name, value, step } = granularities.find((each) => (last - first) / each.step <= MAX_BARS) ?? granularities.at(-1);
  const bounds = { from: iso(first), to: iso(last) };
  const { items } = await get("/top/vehicle_type", { ...bounds, by: "trips", limit: MAX_TYPES }, { signal });
  const ids = items.map(({ id }) => id).sort();
  const isOfWindows = step === window;
  const found = await Promise.all(ids.map((id) =>
    get("/windows/vehicle_type", { id, ...bounds, granularity: value, tz: timeZone() }, { signal })));
  const series = new Map(ids.map((id, index) => [id, new Map(found[index].items.map((item) => {
    if (isOfWindows) tripRate.setCount(id, item.window_start, item.trip_count);
    return [Date.parse(item.window_start), item.trip_count];
  }))]));
  const starts = isOfWindows
    ? Array.from({ length: Math.max(1, Math.round((last - first) / step)) }, (_, index) => first + index * step)
    : bucketStarts(first, last, step);
  return { kinds: ids, series, starts, to: last, name, step, isOfWindows, isLive: isOfWindows && last > to };
}

function draw() {
  const { bounds, before, hasRevenue } = view.totals;
  heading.textContent = [
    `${rangeText(bounds.from, bounds.to)} ${zoneAt(bounds.to)} of event time${before ? `, compared with ${rangeText(before.from, before.to)}` : ""}.`,
    hasDrivers(view.totals) ? "" : "None of these trips has a driver id.",
  ].join(" ");
  drawFigures(view.totals);
  drawTypes(view.totals);
  drawChart();
  charts.revenue.node.hidden = !hasRevenue;
  if (hasRevenue) charts.revenue.show(revenueByType(view.totals));
}

const drawChart = () => charts.types.show(tripsByType({ ...view.chart, asOf: view.ended ? Infinity : view.asOf }));

function drawFigures(totals) {
  const [now, before] = [totals?.top.total, totals?.topBefore?.total];
  const rate = tripRate.rate() ?? undefined;
  const hasRevenue = !totals || totals.hasRevenue;
  figures.replaceChildren(...[
    view.ended ? null : figure("Trips per second", "rate", rate, decimal, "counted in the last 10 s"),
    figure("Trips", "trips", now?.trip_count, count, change(now?.trip_count, before?.trip_count, count)),
    hasRevenue ? figure("Revenue", "revenue", now?.total_revenue, money,
      [change(now?.total_revenue, before?.total_revenue, money), now && partNote("total_revenue", now)]) : null,
    hasDrivers(totals) ? figure("Active drivers", "drivers", totals?.drivers.active_ids, count,
      change(totals?.drivers.active_ids, totals?.driversBefore?.active_ids, count)) : null,
  ].filter(Boolean));
}

/** False if these ranges have trips, but none with a driver: many files have no ids of drivers. */
function hasDrivers(totals) {
  if (!totals || totals.drivers.active_ids || totals.driversBefore?.active_ids) return true;
  return !totals.top.total.trip_count && !totals.topBefore?.total.trip_count;
}

/** The change of a total of a vehicle type; without revenue in a range there is none, as of bikes that cost nothing. */
function changeOf(key, now, before) {
  if (!before) return "new";
  if (!before[key] || now[key] === null) return "–";
  const by = now[key] / before[key] - 1;
  return `${by >= 0 ? "+" : "−"}${percent(Math.abs(by))}`;
}

/** The change of a number since the range before; empty if one of them is not known. */
function change(now, before, text) {
  if ([now, before].some((number) => number === undefined || number === null)) return "";
  if (!before) return "none in the range before";
  const by = now / before - 1;
  if (Math.abs(by) < 0.0005) return "the same as in the range before";
  const mark = by > 0 ? `▲ ${percent(by)}` : `▼ ${percent(-by)}`;
  return el("span", {}, el("span", { class: by > 0 ? "up" : "down" }, mark), ` compared with ${text(before)} in the range before`);
}

/** The vehicle types; share and change are those of the revenue, or of the trips if these have no prices. */
function drawTypes({ hasRevenue, top, topBefore }) {
  const before = topBefore && new Map(topBefore.items.map((item) => [item.id, item]));
  const shown = hasRevenue ? ["trip_count", "total_revenue"] : ["trip_count"];
  const metrics = shown.map(metricOf);
  const key = shown.at(-1);
  const columns = ["Vehicle type", ...metrics.map(({ name }) => name), "Share", ...(before ? ["Change"] : [])].map((name) => ({ name }));
  keepFocus(kinds, () => kinds.replaceChildren(table("Vehicle types", columns, keepOrder(kinds, top.items).map((item) => {
    const index = view.chart.kinds.indexOf(item.id);
    const link = el("a", { href: urlOf("/entity", { entity: "vehicle_type", id: item.id, ...rangeQuery() }), "data-id": item.id }, item.id);
    return [
      el("span", {}, el("span", { class: `swatch kind-${index < 0 ? 3 : index}` }), link),
      ...metrics.map((metric) => data(item[metric.key], metric.text(item[metric.key]))),
      percent(item[key] === null ? null : item.share), ...(before ? [changeOf(key, item, before.get(item.id))] : []),
    ];
  }))));
  if (!top.items.length) kinds.replaceChildren(notice("empty", "No trips in this range", "Choose another one above."));
}

const showNotice = (node) => {
  message.hidden = false;
  message.replaceChildren(node);
};

const refresh = throttle(load, 5000);
range.onChoice(load);
onStatus((status) => {
  const shown = range.now;
  if (!range.update(status)) {
    if (!view.totals) showNotice(status.error ? notice("bad", status.error.title, status.error.message)
      : notice("empty", "Waiting for the first watermark", "The flow has not reported a watermark yet."));
    return;
  }
  // Where nothing comes any more, the rate is not of interest.
  view.ended = hasEnded(status);
  view.asOf = status.asOf;
  charts.second.node.hidden = view.ended;
  picker.show();
  if (!view.totals || (range.now !== shown && range.follows)) refresh();
});

subscribe("vehicle_type", null, {
  onGap: () => range.now !== null && refresh(),
  onWindows(windows) {
    tripRate.addChanges(windows);
    if (view.chart?.isLive) addToChart(windows);
    const { bounds } = view.totals ?? {};
    if (windows.some(({ window_start: start }) => bounds && Date.parse(start) >= bounds.from && Date.parse(start) < bounds.to)) refresh();
  },
});

/** Show the new totals of windows in the chart, which goes on with the newest one. */
function addToChart(windows) {
  const { chart } = view;
  for (const { id, window_start: start, trip_count: trips } of windows) {
    const time = Date.parse(start);
    chart.series.get(id)?.set(time, trips);
    for (; chart.series.has(id) && chart.to <= time; chart.to += chart.step) chart.starts.push(chart.to);
  }
  drawChart();
}

setInterval(() => {
  if (document.hidden) return;
  charts.second.show(tripsPerSecond(tripRate));
  drawFigures(view.totals);
}, 1000);
