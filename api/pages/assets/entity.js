// Entity: everything about one driver, passenger, vehicle type or cell.

import { address, get, live, paced, pageSettings } from "./api.js";
import { data, el, figure, state, table } from "./dom.js";
import { count, ENTITIES, hours, km, minutes, moment, money, span } from "./format.js";
import { eventTime, frame, onStatus } from "./frame.js";
import { Search } from "./search.js";
import { Series } from "./series.js";

frame("Entity");
const asked = new URLSearchParams(location.search);
const view = {
  entity: ENTITIES.some(({ name }) => name === asked.get("entity")) ? asked.get("entity") : "driver",
  id: asked.get("id"), asOf: null, question: null, end: () => {},
};
const search = new Search({ entity: view.entity, id: view.id, onChoose: go, onEntity: (entity) => go(entity, null) });
const story = el("div", { class: "story" });
const main = document.getElementById("main");
main.append(el("div", { class: "heading" }, el("h1", {}, "Entity"), el("p", { class: "note" }, "Any driver, passenger, vehicle type or cell.")),
  el("section", { class: "panel", "aria-label": "Search" }, search.node), story);
story.style.display = "contents";

const who = el("h2", { class: "who" });
const facts = el("p", { class: "facts" });
const figures = el("dl", { class: "figures" });
let series = null;

function go(entity, id) {
  search.put(entity, id);
  history.pushState(null, "", `?${new URLSearchParams(id === null ? { entity } : { entity, id })}`);
  open(entity, id);
}

addEventListener("popstate", () => {
  const now = new URLSearchParams(location.search);
  search.put(now.get("entity") ?? "driver", now.get("id"));
  open(search.entity, now.get("id"));
});

function open(entity, id) {
  view.end();
  view.question?.abort();
  Object.assign(view, { entity, id, drawn: false });
  document.title = `${id ?? "Entity"} · Mobility Hub`;
  if (view.asOf === null) return story.replaceChildren(state("empty", "Waiting for the first watermark", "The flow has not yet told how far it is."));
  if (id === null) return showMany(entity);
  story.replaceChildren(state("empty", "Asking the API", ""));
  view.end = live(entity, id, { onWindows: () => refresh(), onGap: () => refresh() });
}

async function ask() {
  const { entity, id } = view;
  if (id === null) return;
  view.question?.abort();
  const { signal } = (view.question = new AbortController());
  try {
    const [totals, ranks] = await Promise.all([get(`/metrics/${entity}`, { id }, { signal }), ranking(entity, id, signal)]);
    show(totals, ranks);
    // The totals may hold trips of a window that not all partitions have reached: so must the series.
    const newest = Date.parse(totals.last_window?.window_start ?? 0);
    await series.ask(entity, id, Math.max(view.asOf, newest), signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    view.drawn = false;
    story.replaceChildren(error.status === 404
      ? state("empty", `Nothing is known of this ${titleOf(entity).toLowerCase()}`, `${error.message}. Look for another one above.`)
      : state("bad", error.title ?? "The page failed", error.message));
  }
}

/** Places by trips and by revenue; empty where no store can tell them. */
async function ranking(entity, id, signal) {
  try {
    return await Promise.all(["trips", "revenue"].map((by) => get(`/top/${entity}`, { id, by }, { signal })));
  } catch (error) {
    if (error.name === "AbortError" || !error.slug) throw error;
    return [];
  }
}

function show(totals, [trips, revenue]) {
  if (!view.drawn) {
    story.replaceChildren(el("div", { class: "heading whole" }, who, facts), figures, series.node);
    view.drawn = true;
  }
  who.replaceChildren(el("span", { class: "kind" }, titleOf(view.entity)), totals.id);
  const window = totals.last_window;
  facts.replaceChildren(
    fact("first trip", totals.start_time ? moment(totals.start_time) : "none"),
    fact("last trip", totals.last_start_time ? moment(totals.last_start_time) : "none"),
    fact("newest window", window ? `${span(window.window_start, window.window_end, true)}${window.complete ? ", final" : ", can still change"}` : "none"),
    fact("from", totals.store === "redis" ? "Redis" : "Postgres"));
  const place = (top) => {
    const item = top?.items[0];
    return item ? ["number ", data(item.rank, count(item.rank), { class: "rank" }), ` of ${count(top.active_ids)}`] : [];
  };
  figures.replaceChildren(
    figure("Trips", "trips", totals.trip_count, count, place(trips)),
    figure("Revenue", "revenue", totals.total_revenue, money, place(revenue)),
    figure("Revenue per trip", "per-trip", totals.avg_revenue, money, ["mean, currency of the trips"]),
    figure("Distance", "distance", totals.total_distance, km, [`${km(totals.avg_distance)} per trip`]),
    figure("Riding time", "duration", totals.total_duration, hours, [`${minutes(totals.avg_duration)} per trip`]));
}

const fact = (name, text) => el("span", {}, `${name} `, el("strong", {}, text));
const titleOf = (entity) => ENTITIES.find(({ name }) => name === entity).title;

/** Nobody is chosen: those with the most trips. */
async function showMany(entity) {
  const { title, many } = ENTITIES.find(({ name }) => name === entity);
  const link = (id) => el("a", { href: address("/entity", { entity, id }), onclick: (event) => { event.preventDefault(); go(entity, id); } }, id);
  try {
    const { items, active_ids: all } = await get(`/top/${entity}`, { by: "trips", limit: 20 });
    if (view.id !== null || view.entity !== entity) return;
    const columns = [title, "Trips", "Revenue", "Distance", "Share of trips"].map((name) => ({ name }));
    story.replaceChildren(el("section", { class: "panel", "aria-label": "Most trips" }, el("h2", {}, `The busiest ${many}`),
      el("p", { class: "note" }, `${count(Math.min(20, all))} of ${count(all)}, by all their trips.`),
      items.length ? el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "The busiest" }, table(`The busiest ${many}`, columns, items.map((item) => [
        link(item.id), count(item.trip_count), money(item.total_revenue), km(item.total_distance), `${(item.share * 100).toFixed(1)} %`,
      ]))) : state("empty", "No trips yet")));
  } catch (error) {
    story.replaceChildren(state("bad", error.title ?? "The page failed", error.message));
  }
}

const refresh = paced(ask, 1000);
onStatus(async (status) => {
  const asOf = eventTime(status);
  if (status.error || asOf === null) {
    if (view.asOf === null && status.error) story.replaceChildren(state("bad", status.error.title, status.error.message));
    return;
  }
  const first = view.asOf === null;
  view.asOf = asOf;
  if (!first) return;
  const { window } = await pageSettings();
  series = new Series({ window, onChange: () => refresh() });
  open(view.entity, view.id);
});
open(view.entity, view.id);
