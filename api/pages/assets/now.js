// Now: the last hour of event time compared with the hour before, and the current rate of trips.

import { allTrips, hasAmount, partNote } from "./amounts.js";
import { get, iso, pageSettings, subscribe, throttle, urlOf } from "./api.js";
import { Chart } from "./chart.js";
import { data, el, figure, keepFocus, keepOrder, notice, table } from "./dom.js";
import { count, date, decimal, isToday, metricOf, money, percent, period } from "./format.js";
import { frame, hasEnded, minWatermark, onStatus } from "./frame.js";
import { revenuePerHour, tripsPerSecond, tripsPerWindow } from "./now-charts.js";
import { TripRate } from "./trip-rate.js";

const HOUR = 3600_000;
const HOURS_SHOWN = 3;
const MAX_TYPES = 4;

frame("Now");
const tripRate = new TripRate();
const view = { kinds: [], series: new Map() };

const figures = el("dl", { class: "figures" });
const charts = {
  second: new Chart({ title: "Trips counted per second", note: "The last three minutes of the wall clock. The chart starts when the page is opened.", small: true }),
  windows: new Chart({ title: "Trips by vehicle type" }),
  hours: new Chart({ title: "Revenue by vehicle type", small: true }),
};
const kinds = el("div", { class: "scroll kinds", tabIndex: 0, role: "region", "aria-label": "Vehicle types: table" });
const heading = el("p", { class: "note" });
const message = el("div", { hidden: true });
document.getElementById("main").append(
  el("div", { class: "heading" }, el("h1", {}, "Now"), heading),
  message, figures, charts.second.node, charts.windows.node,
  el("div", { class: "pair" }, charts.hours.node,
    el("section", { class: "panel", "aria-label": "Vehicle types" }, el("h2", {}, "Vehicle types in the last hour"), kinds)),
);
drawFigures(null);

/** The last hour of closed windows, the hour before, and the start of the chart, in epoch ms. */
function periods(asOf, window) {
  const to = Math.floor(asOf / window) * window;
  return { to, from: to - HOUR, before: to - 2 * HOUR, first: to - HOURS_SHOWN * HOUR };
}

async function load() {
  try {
    const { window } = await pageSettings();
    const times = periods(view.asOf, window);
    const last = { from: iso(times.from), to: iso(times.to) };
    const before = { from: iso(times.before), to: iso(times.from) };
    const hasRevenue = hasAmount("total_revenue", await allTrips());
    const by = hasRevenue ? "revenue" : "trips";
    const [drivers, driversBefore, top, topBefore] = await Promise.all([
      get("/summary/driver", last), get("/summary/driver", before),
      get("/top/vehicle_type", { ...last, by, limit: 50 }),
      get("/top/vehicle_type", { ...before, by, limit: 50 }),
    ]);
    view.hour = { times, hasRevenue, drivers, driversBefore, top, topBefore };
    await loadSeries(times, window);
    message.hidden = true;
    draw();
  } catch (error) {
    showNotice(notice("bad", error.title ?? "The page failed", error.message));
  }
}

/** The windows of the vehicle types with the most trips, sorted by name. */
async function loadSeries(times, window) {
  const { items } = await get("/top/vehicle_type", { from: iso(times.first), by: "trips", limit: MAX_TYPES });
  view.kinds = items.map(({ id }) => id).sort();
  const range = { from: iso(times.first), to: iso(view.asOf + window) };
  const series = await Promise.all(view.kinds.map((id) => get("/windows/vehicle_type", { id, ...range })));
  view.series = new Map(view.kinds.map((id, index) => {
    const found = series[index].items;
    found.forEach((item) => tripRate.setCount(id, item.window_start, item.trip_count));
    return [id, new Map(found.map((item) => [Date.parse(item.window_start), item]))];
  }));
  view.window = window;
}

function draw() {
  const { times } = view.hour;
  heading.textContent = [
    `The last hour is ${period(times.from, times.to, { withZone: true })} of event time${isToday(times.to) ? "" : `, ${date(times.to)}`}; the one before is ${period(times.before, times.from)}.`,
    hasDrivers(view.hour) ? "" : "None of these trips has a driver id.",
  ].join(" ");
  drawFigures(view.hour);
  drawTypes(view.hour);
  charts.windows.show(tripsPerWindow(view, times));
  charts.hours.node.hidden = !view.hour.hasRevenue;
  if (view.hour.hasRevenue) charts.hours.show(revenuePerHour(view));
}

function drawFigures(hour) {
  const [last, before] = [hour?.top.total, hour?.topBefore.total];
  const rate = tripRate.rate() ?? undefined;
  const hasRevenue = !hour || hour.hasRevenue;
  figures.replaceChildren(...[
    view.ended ? null : figure("Trips per second", "rate", rate, decimal, "counted in the last 10 s"),
    figure("Trips in the last hour", "trips", last?.trip_count, count, change(last?.trip_count, before?.trip_count, count)),
    hasRevenue ? figure("Revenue in the last hour", "revenue", last?.total_revenue, money,
      [change(last?.total_revenue, before?.total_revenue, money), last && partNote("total_revenue", last)]) : null,
    hasDrivers(hour) ? figure("Active drivers", "drivers", hour?.drivers.active_ids, count, change(hour?.drivers.active_ids, hour?.driversBefore.active_ids, count)) : null,
  ].filter(Boolean));
}

/** False if these hours have trips, but none with a driver: many files have no ids of drivers. */
function hasDrivers(hour) {
  if (!hour || hour.drivers.active_ids || hour.driversBefore.active_ids) return true;
  return !hour.top.total.trip_count && !hour.topBefore.total.trip_count;
}

/** The change of a total of a vehicle type; without revenue in an hour there is none, as of bikes that cost nothing. */
function changeOf(key, now, before) {
  if (!before) return "new";
  if (!before[key] || now[key] === null) return "–";
  const by = now[key] / before[key] - 1;
  return `${by >= 0 ? "+" : "−"}${percent(Math.abs(by))}`;
}

/** The change of a number since the hour before; empty if one of them is not known. */
function change(now, before, text) {
  if ([now, before].some((number) => number === undefined || number === null)) return "";
  if (!before) return "none in the hour before";
  const by = now / before - 1;
  if (Math.abs(by) < 0.0005) return "the same as in the hour before";
  const mark = by > 0 ? `▲ ${percent(by)}` : `▼ ${percent(-by)}`;
  return el("span", {}, el("span", { class: by > 0 ? "up" : "down" }, mark), ` compared with the hour before (${text(before)})`);
}

/** The vehicle types; share and change are those of the revenue, or of the trips if these have no prices. */
function drawTypes({ hasRevenue, top, topBefore }) {
  const before = new Map(topBefore.items.map((item) => [item.id, item]));
  const shown = hasRevenue ? ["trip_count", "total_revenue"] : ["trip_count"];
  const metrics = shown.map(metricOf);
  const key = shown.at(-1);
  const columns = ["Vehicle type", ...metrics.map(({ name }) => name), "Share", "Change"].map((name) => ({ name }));
  keepFocus(kinds, () => kinds.replaceChildren(table("Vehicle types in the last hour", columns, keepOrder(kinds, top.items).map((item) => {
    const index = view.kinds.indexOf(item.id);
    const link = el("a", { href: urlOf("/entity", { entity: "vehicle_type", id: item.id }), "data-id": item.id }, item.id);
    return [
      el("span", {}, el("span", { class: `swatch kind-${index < 0 ? 3 : index}` }), link),
      ...metrics.map((metric) => data(item[metric.key], metric.text(item[metric.key]))),
      percent(item[key] === null ? null : item.share), changeOf(key, item, before.get(item.id)),
    ];
  }))));
  if (!top.items.length) kinds.replaceChildren(notice("empty", "No trips in the last hour"));
}

const showNotice = (node) => {
  message.hidden = false;
  message.replaceChildren(node);
};

const refresh = throttle(load, 5000);
onStatus((status) => {
  const asOf = minWatermark(status);
  if (status.error || asOf === null) {
    if (!view.hour) showNotice(status.error ? notice("bad", status.error.title, status.error.message)
      : notice("empty", "Waiting for the first watermark", "The flow has not reported a watermark yet."));
    return;
  }
  // Where nothing comes any more, the rate is not of interest.
  view.ended = hasEnded(status);
  charts.second.node.hidden = view.ended;
  const hasNewWindow = view.asOf === undefined || Math.floor(asOf / (view.window ?? 1)) !== Math.floor(view.asOf / (view.window ?? 1));
  view.asOf = asOf;
  if (hasNewWindow || !view.hour) refresh();
});

subscribe("vehicle_type", null, {
  onGap: () => view.asOf && refresh(),
  onWindows(windows) {
    tripRate.addChanges(windows);
    for (const item of windows) view.series.get(item.id)?.set(Date.parse(item.window_start), item);
    if (view.hour) charts.windows.show(tripsPerWindow(view, view.hour.times));
    if (windows.some(({ window_end: end }) => view.hour && Date.parse(end) <= view.hour.times.to)) refresh();
  },
});
setInterval(() => {
  if (document.hidden) return;
  charts.second.show(tripsPerSecond(tripRate));
  drawFigures(view.hour);
}, 1000);
