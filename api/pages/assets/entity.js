// Entity: the totals, ranks and series of one driver, passenger, vehicle type or cell.

import { query, rangeQuery, setQuery } from "./address.js";
import { hasAmount, partNote } from "./amounts.js";
import { get, subscribe, throttle, urlOf } from "./api.js";
import { DateRange } from "./date-range.js";
import { data, el, figure, notice, table } from "./dom.js";
import { count, ENTITIES, hours, km, metricOf, minutes, moment, money, percent, period } from "./format.js";
import { EXTREMES, MEASURES } from "./measures.js";
import { frame, isFinal, onStatus } from "./frame.js";
import { RangePicker } from "./range-picker.js";
import { Search } from "./search.js";
import { SeriesPanel } from "./series-panel.js";
import { WeekPanel } from "./week-panel.js";

const WEEK_INTERVAL = 60_000;

frame("Entity");
const given = query();
const view = {
  entity: ENTITIES.some(({ name }) => name === given.get("entity")) ? given.get("entity") : "driver",
  id: given.get("id"), request: null, unsubscribe: () => {},
};
const range = new DateRange();
const picker = new RangePicker(range);
const search = new Search({ entity: view.entity, id: view.id, onSelect: go, onEntity: (entity) => go(entity, null) });
const details = el("div", { class: "details" });
const main = document.getElementById("main");
main.append(el("div", { class: "heading" }, el("h1", {}, "Entity"), el("p", { class: "note" }, "Totals, ranks and windows of a driver, passenger, vehicle type or cell.")),
  el("section", { class: "panel controls", "aria-label": "Search" }, search.node, picker.node), details);
details.style.display = "contents";

const idTitle = el("h2", { class: "entity-id" });
const facts = el("p", { class: "facts" });
const figures = el("dl", { class: "figures" });
const week = new WeekPanel();
const series = new SeriesPanel({ onChange: () => refresh(), onMetric: (metric) => week.setMetric(metric) });

function go(entity, id) {
  search.set(entity, id);
  setQuery({ entity, id }, "pushState");
  open(entity, id);
}

addEventListener("popstate", () => {
  const now = query();
  search.set(now.get("entity") ?? "driver", now.get("id"));
  range.read();
  open(search.entity, now.get("id"));
});

function open(entity, id) {
  view.unsubscribe();
  view.request?.abort();
  Object.assign(view, { entity, id, drawn: false });
  document.title = `${id ?? "Entity"} · Mobility Hub`;
  if (range.now === null) return details.replaceChildren(notice("empty", "Waiting for the first watermark", "The flow has not reported a watermark yet."));
  picker.show();
  if (id === null) return showBusiest(entity);
  details.replaceChildren(notice("empty", "Loading", ""));
  loadWeek();
  view.unsubscribe = subscribe(entity, id, { onWindows: () => refresh(), onGap: () => refresh() });
}

async function load() {
  const { entity, id } = view;
  if (id === null) return;
  view.request?.abort();
  const { signal } = (view.request = new AbortController());
  try {
    const [totals, ranks] = await Promise.all([get(`/metrics/${entity}`, { id, ...range.parameters }, { signal }), loadRanks(entity, id, signal)]);
    // The answers with the ranks have the totals of all ids, which say what trips of the entity have.
    const all = ranks[0]?.total ?? null;
    show(totals, ranks, all);
    series.offerMetrics(all);
    week.setMetric(series.metric);
    // The totals may contain trips of a window that not all partitions have reached; the series must too.
    if (totals.last_window) range.advanceTo(Date.parse(totals.last_window.window_end));
    await series.load(entity, id, range, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    view.drawn = false;
    details.replaceChildren(error.slug === "not-found"
      ? notice("empty", `No trips for this ${titleOf(entity).toLowerCase()}`, `${error.message}. Search for another id above.`)
      : notice("bad", error.title ?? "The page failed", error.message));
  }
}

/** The ranks by trips and by revenue; empty if no store can answer. */
async function loadRanks(entity, id, signal) {
  try {
    return await Promise.all(["trips", "revenue"].map((by) => get(`/top/${entity}`, { id, by, ...range.parameters }, { signal })));
  } catch (error) {
    if (error.name === "AbortError" || !error.slug) throw error;
    return [];
  }
}

function extreme(name, value) {
  const { unit } = MEASURES[name];
  return unit === "km" ? km(value) : unit === "minutes" ? minutes(value) : unit === "time" ? moment(value) : money(value);
}

/** The mean of an amount, such as `4.2 km per trip`; nothing if no trip has the amount. */
const perTrip = (name, totals, text) => (totals[name] === null ? [] : [`${text(totals[name])} per trip`]);

/** Show the totals of an id and its ranks; `all` are the totals of all ids. */
function show(totals, [trips, revenue], all) {
  if (!view.drawn) {
    details.replaceChildren(el("div", { class: "heading whole" }, idTitle, facts), figures, series.node, week.node);
    view.drawn = true;
  }
  idTitle.replaceChildren(el("span", { class: "kind" }, titleOf(view.entity)), totals.id);
  const window = totals.last_window;
  facts.replaceChildren(
    ...EXTREMES.filter((name) => hasAmount(name, all)).map((name) => fact(MEASURES[name].name.toLowerCase(), extreme(name, totals[name]))),
    fact("newest window", window ? `${period(window.window_start, window.window_end, { withDay: true })}${window.complete || series.isFinal ? ", complete" : ", not complete yet"}` : "none"),
    fact("store", totals.store === "redis" ? "Redis" : "Postgres"));
  const rankText = (top) => {
    const item = top?.items[0];
    return item?.rank ? ["rank ", data(item.rank, count(item.rank), { class: "rank" }), ` of ${count(top.active_ids)}`] : [];
  };
  const ofRevenue = () => partNote("total_revenue", totals);
  figures.replaceChildren(
    figure("Trips", "trips", totals.trip_count, count, rankText(trips)),
    ...(hasAmount("total_revenue", all) ? [
      figure("Revenue", "revenue", totals.total_revenue, money, [totals.total_revenue === null ? null : rankText(revenue), ofRevenue()].flat()),
      figure("Revenue per trip", "per-trip", totals.avg_revenue, money, ["mean, in the currency of the trips", ofRevenue()]),
    ] : []),
    ...(hasAmount("total_distance", all) ? [
      figure("Distance", "distance", totals.total_distance, km, [...perTrip("avg_distance", totals, km), partNote("total_distance", totals)]),
    ] : []),
    figure("Riding time", "duration", totals.total_duration, hours, perTrip("avg_duration", totals, minutes)));
}

const fact = (name, text) => el("span", {}, `${name} `, el("strong", {}, text));
const titleOf = (entity) => ENTITIES.find(({ name }) => name === entity).title;

/** Without an id: show the ids with the most trips. */
async function showBusiest(entity) {
  const { title, many } = ENTITIES.find(({ name }) => name === entity);
  const link = (id) => el("a", { href: urlOf("/entity", { entity, id, ...rangeQuery() }), onclick: (event) => { event.preventDefault(); go(entity, id); } }, id);
  view.request?.abort();
  const { signal } = (view.request = new AbortController());
  try {
    const { items, active_ids: all, total } = await get(`/top/${entity}`, { by: "trips", limit: 20, ...range.parameters }, { signal });
    const empty = items.length ? null : await whyEmpty(entity);
    if (signal.aborted) return;
    if (empty) return details.replaceChildren(el("section", { class: "panel", "aria-label": "Most trips" }, empty));
    const metrics = ["trip_count", "total_revenue", "total_distance"].filter((name) => hasAmount(name, total)).map(metricOf);
    const columns = [title, ...metrics.map(({ name }) => name), "Share of trips"].map((name) => ({ name }));
    details.replaceChildren(el("section", { class: "panel", "aria-label": "Most trips" }, el("h2", {}, `The busiest ${many}`),
      el("p", { class: "note" }, `${count(Math.min(20, all))} of ${count(all)}, by number of trips.`),
      el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "The busiest" }, table(`The busiest ${many}`, columns, items.map((item) => [
        link(item.id), ...metrics.map(({ key, text }) => text(item[key])), percent(item.share),
      ])))));
  } catch (error) {
    if (error.name !== "AbortError") details.replaceChildren(notice("bad", error.title ?? "The page failed", error.message));
  }
}

/** Why an entity has no ids: there are no trips, or none of them has such an id. */
async function whyEmpty(entity) {
  const { total } = await get("/top/vehicle_type", { limit: 1, ...range.parameters });
  if (!total.trip_count) return range.hasAll ? notice("empty", "No trips yet") : notice("empty", "No trips in this range", "Choose another one above.");
  const missing = entity === "h3" ? "a place" : `a ${titleOf(entity).toLowerCase()} id`;
  const link = el("a", { href: urlOf("/entity", { entity: "vehicle_type", ...rangeQuery() }) }, "the vehicle types");
  return notice("empty", `None of the ${count(total.trip_count)} trips has ${missing}`, el("span", {}, "See ", link, " instead, or choose another entity above."));
}

const refresh = throttle(load, 1000);
/** Load the hours of the week; they are of all of the range, and new trips change them little. */
const loadWeek = () => view.id !== null && week.load(view.entity, view.id, range);
setInterval(() => range.now !== null && !range.ended && !document.hidden && loadWeek(), WEEK_INTERVAL);

range.onChoice(() => {
  if (view.id === null) return showBusiest(view.entity);
  refresh();
  loadWeek();
});
onStatus((status) => {
  const isFirst = range.now === null;
  if (!range.update(status)) {
    if (isFirst && status.error) details.replaceChildren(notice("bad", status.error.title, status.error.message));
    return;
  }
  series.isFinal = isFinal(status);
  picker.show();
  if (isFirst) open(view.entity, view.id);
});
open(view.entity, view.id);
