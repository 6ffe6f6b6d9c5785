// City: a map of the cells, now and over the last day.

import { allTrips, metricsIn } from "./amounts.js";
import { get, iso, pageSettings, subscribe, throttle } from "./api.js";
import { groupCells, isCell, parentCell } from "./cells.js";
import { CityPanel } from "./city-panel.js";
import { el, notice, svg } from "./dom.js";
import { metricOf, METRICS, valueOf } from "./format.js";
import { completeUntil, frame, hasEnded, newestEventTime, onStatus } from "./frame.js";
import { Legend, tooltip } from "./legend.js";
import { CellMap } from "./map.js";
import { classBounds, classOf, colourOf } from "./colour-classes.js";
import { Timeline } from "./timeline.js";

const MAX_CELLS = 5000;
const DAY = 24 * 3600_000;
const DAY_INTERVAL = 60_000;

frame("City");
document.body.classList.add("city");

const query = new URLSearchParams(location.search);
const view = { metric: metricOf(query.get("metric")), items: [], top: null, all: null, known: new Map(), ended: false, unplaced: 0 };
const settings = await waitForSettings();

const canvas = el("canvas", {
  tabIndex: 0, role: "img", "aria-label": "Map of cells. Arrow keys move it, plus and minus zoom, 0 shows all. The list beside it has the same numbers.",
});
const tip = tooltip();
const message = el("div", { hidden: true });
const legend = new Legend();
const map = new CellMap(canvas, {
  onHover: (at) => { pointer = at; showTip(); },
  onSelect: (id) => select(id),
  onLevel: () => paint(),
});
let shown = new Map();
let pointer = null;
/** The tooltip of the cell under the pointer; called again when its numbers change. */
const showTip = () => tip.show(pointer && shown.get(map.cellAt(pointer)), pointer, canvas);
const timeline = new Timeline({ window: settings.window, onChange: () => load() });
const panel = new CityPanel({
  window: settings.window, metric: view.metric, span: query.get("span"),
  onMetric(metric) { view.metric = metric; updateUrl(); load(); },
  onPeriod(length) { timeline.setLength(length); updateUrl(); load(); },
  onCell: (id) => select(isCell(id) ? parentCell(id, map.level) : null, true),
});
map.tiles = settings.tiles;
timeline.setLength(panel.length);

document.getElementById("main").append(
  el("h1", { class: "visually-hidden" }, "City"),
  el("section", { class: "map", "aria-label": "Map" }, canvas, zoomButtons(), message, tip.node,
    settings.tiles ? el("p", { class: "over credit" }, settings.tiles_credit ?? "") : null),
  legend.node,
  timeline.node,
  panel.node,
);
map.resize();

let request = null;
/** Load the cells of the period, and show them; a newer request aborts an older one. */
async function load() {
  if (timeline.newest === null) return;
  request?.abort();
  request = new AbortController();
  const { signal } = request;
  const { from, to } = timeline.range;
  try {
    await updateMetrics();
    const bounds = Number.isFinite(from) ? { from: iso(from), to: iso(to) } : timeline.isLive ? {} : { to: iso(to) };
    const parameters = { ...bounds, by: view.metric.by, limit: MAX_CELLS };
    view.top = await get("/top/h3", parameters, { signal });
  } catch (error) {
    if (error.name !== "AbortError") showNotice(notice("bad", error.title ?? "The page failed", error.message));
    return;
  }
  view.items = view.top.items;
  if (view.known.size) addKnownCells(view.items);
  paint();
}

/** Offer the metrics that trips have; if they lack the chosen one, choose the first. */
async function updateMetrics() {
  view.all = await allTrips();
  if (!metricsIn(view.all).includes(view.metric)) [view.metric] = METRICS;
  panel.offerMetrics(view.all, view.metric);
}

function paint() {
  if (!view.top) return;
  shown = groupCells(view.items.filter((item) => isCell(item.id)), map.level ?? 9);
  const values = [...shown.values()].map((cell) => valueOf(view.metric, cell));
  const limits = classBounds(values);
  const colour = (totals) => {
    const value = valueOf(view.metric, totals);
    return value === null ? null : colourOf(classOf(value, limits), limits);
  };
  map.setCells(new Map([...shown].map(([id, cell]) => [id, colour(cell)])));
  legend.show(view.metric, limits, { level: map.level, finest: map.finest, empty: !shown.size });
  panel.show(view.top, view.metric, view.all, colour);
  panel.select(shown.get(map.selected));
  showTip();
  showNotice(emptyMap());
}

/** Why the map is empty and what to do; null if it is not. */
function emptyMap() {
  const places = view.items.length > 0;
  if (shown.size || (places && [...view.known.keys()].some(isCell))) return null;
  if (!places && (view.known.size || !view.unplaced)) return notice("empty", "No trips in this period", "Move the slider below, or choose another period.");
  if (!places) return notice("empty", "No trip has a place", "The trips have neither coordinates nor ids of locations. The other pages show their numbers.");
  return notice("empty", "No trip has coordinates", el("span", {},
    "They have ids of locations. A table of these gives a map: ",
    el("code", {}, "just up FILE --name NAME --locations TABLE.parquet"), ", with the columns ",
    el("code", {}, "location_id"), ", ", el("code", {}, "lat"), " and ", el("code", {}, "lng"), "."));
}

const showNotice = (node) => {
  message.hidden = !node;
  message.replaceChildren(...(node ? [node] : []));
};

function select(id, centre = false) {
  map.select(id, centre);
  panel.select(shown.get(id));
}

/** The background has all cells with trips in the last day, and later ones. */
function addKnownCells(items) {
  const before = view.known.size;
  for (const { id, trip_count: trips } of items) if (!view.known.has(id)) view.known.set(id, trips);
  if (view.known.size !== before) map.setBackground(view.known);
}

async function loadDay() {
  const range = { from: iso(timeline.newest - DAY), to: iso(timeline.newest) };
  try {
    const [cells, kinds] = await Promise.all([
      get("/top/h3", { ...range, by: "trips", limit: MAX_CELLS }),
      get("/top/vehicle_type", { ...range, by: "trips", limit: 12 }),
    ]);
    addKnownCells(cells.items);
    const series = await Promise.all(kinds.items.map(({ id }) => get("/windows/vehicle_type", { id, ...range })));
    const bars = new Map();
    for (const { window_start: start, trip_count: trips } of series.flatMap((one) => one.items)) {
      bars.set(start, (bars.get(start) ?? 0) + trips);
    }
    timeline.setBars([...bars].map(([start, trips]) => ({ from: Date.parse(start), trips })));
    await countUnplaced(range.from);
  } catch {
    addKnownCells(view.items);
    // The map shows the error; the bars are loaded again in a minute.
  }
}

/** Count the trips of the last day without any place, which are in no cell; of complete windows, as these are equal in both. */
async function countUnplaced(from) {
  const range = { from, to: iso(view.complete) };
  if (range.from >= range.to) return;
  const [all, placed] = await Promise.all([get("/summary/vehicle_type", range), get("/top/h3", { ...range, limit: 1 })]);
  view.unplaced = Math.max(0, all.trip_count - placed.total.trip_count);
  panel.showUnplaced(view.unplaced);
  paint();
}

/** Where the newest period has no trips, as after the end of a file, show the last one that has. */
async function showLastTrips() {
  if (!timeline.bars.length) return;
  const end = Math.max(...timeline.bars.map(({ from }) => from)) + timeline.window;
  // At the end of a file the timeline ends with its trips: what follows is empty, and would never be complete.
  // The bars are of the most frequent types only, so the API says whether there are trips after them.
  if (view.ended && end < timeline.newest && !(await get("/summary/vehicle_type", { from: iso(end) })).trip_count) timeline.endAt(end);
  else if (timeline.isLive && end <= timeline.range.from) timeline.setEnd(end);
}

const refresh = throttle(load, 1000);
onStatus((status) => {
  // Not the watermark: the newest windows, with the live trips, are open.
  const time = newestEventTime(status);
  if (status.error || time === null) {
    if (!view.top) showNotice(waiting(status.error));
    return;
  }
  const isFirst = timeline.newest === null;
  const hadEnded = view.ended;
  view.ended = hasEnded(status);
  view.complete = completeUntil(status);
  timeline.setEnded(view.ended);
  // The end of a file is seldom what people look for.
  if (isFirst && view.ended && !query.has("span")) {
    panel.chooseAllDates();
    timeline.setLength(panel.length);
  }
  const hasMoved = !(view.ended && hadEnded) && timeline.advanceTo(time);
  if (hasMoved || (!view.top && !isFirst)) refresh();
  if (isFirst || (view.ended && !hadEnded)) loadDay().then(showLastTrips).catch(() => {}); // the map shows the error
});
setInterval(() => timeline.newest !== null && !document.hidden && loadDay(), DAY_INTERVAL);

subscribe("h3", null, {
  onGap: () => refresh(),
  onWindows(windows) {
    const newest = Math.max(...windows.map((window) => Date.parse(window.window_start)));
    if (timeline.newest !== null) timeline.advanceTo(newest);
    const { from, to } = timeline.range;
    const inside = windows.filter(({ window_start: start }) => Date.parse(start) >= from && Date.parse(start) < to);
    if (!inside.length) return;
    map.highlight(inside.filter(({ id }) => isCell(id)).map(({ id }) => parentCell(id, map.level)));
    refresh();
  },
});

function waiting(error) {
  return error
    ? notice("bad", error.title, error.message)
    : notice("empty", "Waiting for the first watermark", "The flow has not reported a watermark yet.");
}

function updateUrl() {
  history.replaceState(null, "", `?${new URLSearchParams({ metric: view.metric.key, span: panel.span })}`);
}

function zoomButtons() {
  const button = (path, label, act) => el("button", { class: "icon", type: "button", "aria-label": label, title: label, onclick: act },
    svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path })));
  return el("div", { class: "over zoom" },
    button("M12 5v14M5 12h14", "Zoom in", () => map.zoom(1.6)),
    button("M5 12h14", "Zoom out", () => map.zoom(1 / 1.6)),
    button("M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5", "Show all cells", () => map.fit()));
}

async function waitForSettings() {
  for (;;) {
    try {
      return await pageSettings();
    } catch {
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}
