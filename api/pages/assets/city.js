// City: a map of the cells, over any range of time.

import { query, setQuery } from "./address.js";
import { allTrips, metricsIn } from "./amounts.js";
import { get, iso, pageSettings, subscribe, throttle } from "./api.js";
import { groupCells, isCell, parentCell } from "./cells.js";
import { CityPanel } from "./city-panel.js";
import { DateRange } from "./date-range.js";
import { el, notice, svg } from "./dom.js";
import { metricOf, METRICS, valueOf } from "./format.js";
import { completeUntil, frame, isFinal, onStatus } from "./frame.js";
import { granularitiesFor } from "./granularities.js";
import { Legend, tooltip } from "./legend.js";
import { CellMap } from "./map.js";
import { classBounds, classOf, colourOf } from "./colour-classes.js";
import { RangePicker } from "./range-picker.js";
import { WeekPanel } from "./week-panel.js";
import { bucketStart, timeZone } from "./time-zone.js";
import { Timeline } from "./timeline.js";

const MAX_CELLS = 5000;
const DAY = 24 * 3600_000;
const OVERVIEW_INTERVAL = 60_000;

frame("City");
document.body.classList.add("city");

const view = { metric: metricOf(query().get("metric")), items: [], top: null, all: null, known: new Map(), isFinal: false, unplaced: 0, overview: null };
const settings = await waitForSettings();
const range = new DateRange();

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
const picker = new RangePicker(range);
const timeline = new Timeline(range);
timeline.row.prepend(picker.node);
const panel = new CityPanel({
  metric: view.metric,
  onMetric(metric) { view.metric = metric; setQuery({ metric: metric.key }); load(); },
  onCell: (id) => select(isCell(id) ? parentCell(id, map.level) : null, true),
});
const week = new WeekPanel();
panel.node.append(week.node);
map.tiles = settings.tiles;

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
/** Load the cells of the range, and show them; a newer request aborts an older one. */
async function load() {
  if (range.now === null) return;
  request?.abort();
  request = new AbortController();
  const { signal } = request;
  try {
    await updateMetrics();
    const parameters = { ...range.parameters, by: view.metric.by, limit: MAX_CELLS };
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
  week.setMetric(view.metric);
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
  panel.show({ ...view.top, complete: view.top.complete || view.isFinal }, view.metric, view.all, colour);
  panel.select(shown.get(map.selected));
  showTip();
  showNotice(emptyMap());
}

/** Why the map is empty and what to do; null if it is not. */
function emptyMap() {
  const places = view.items.length > 0;
  if (shown.size || (places && [...view.known.keys()].some(isCell))) return null;
  if (!places && (view.known.size || !view.unplaced)) return notice("empty", "No trips in this range", "Choose another one below.");
  if (!places) return notice("empty", "No trip has a place", "The trips have neither coordinates nor ids of locations. The other pages show their numbers.");
  return notice("empty", "No trip has coordinates", el("span", {},
    "They have ids of locations. A table of these gives a map: ",
    el("code", {}, "just up FILE --name NAME --locations TABLE.csv"), ", with the columns ",
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

/** The background has all cells with trips in the stretch of the timeline, and later ones. */
function addKnownCells(items) {
  const before = view.known.size;
  for (const { id, trip_count: trips } of items) if (!view.known.has(id)) view.known.set(id, trips);
  if (view.known.size !== before) map.setBackground(view.known);
}

/** The stretch of the timeline: the last day if the range is in it, else all of the data. */
function stretch() {
  const { now, extent, window } = range;
  const { from } = range.bounds;
  const first = from >= now - DAY ? now - DAY : extent?.from ?? from;
  const [granularity] = granularitiesFor(now - first, window);
  const { step } = granularity;
  return { granularity: granularity.value, step, from: step === window ? first : bucketStart(first, step), to: now };
}

/** Show where the range is, and load the overview if the timeline has another stretch. */
function showRange() {
  const { from, to, step } = stretch();
  timeline.setStretch({ from, to }, step);
  picker.show();
  // The control shows the times itself, unless it has the name of a preset.
  timeline.output.classList.toggle("visually-hidden", !picker.preset);
  if (view.overview === to - from) return;
  view.overview = to - from;
  loadOverview();
}

async function loadOverview() {
  const { from, to, granularity } = stretch();
  const { overview } = view;
  const bounds = { from: iso(from), to: iso(to) };
  try {
    const [cells, kinds] = await Promise.all([
      get("/top/h3", { ...bounds, by: "trips", limit: MAX_CELLS }),
      get("/top/vehicle_type", { ...bounds, by: "trips", limit: 12 }),
    ]);
    addKnownCells(cells.items);
    const series = await Promise.all(kinds.items.map(({ id }) => get("/windows/vehicle_type", { id, ...bounds, granularity, tz: timeZone() })));
    const bars = new Map();
    for (const { window_start: start, trip_count: trips } of series.flatMap((one) => one.items)) {
      bars.set(start, (bars.get(start) ?? 0) + trips);
    }
    // Meanwhile the timeline may have got another stretch.
    if (view.overview === overview) timeline.setBars([...bars].map(([start, trips]) => ({ from: Date.parse(start), trips })));
    loadBeside();
  } catch {
    addKnownCells(view.items);
    // The map shows the error; the bars are loaded again with the next status.
    if (view.overview === overview) view.overview = null;
  }
}

/** Count the trips of the range without any place, which are in no cell; of complete windows, as these are equal in both. */
async function countUnplaced() {
  const { from, to } = range.bounds;
  const bounds = { from: iso(from), to: iso(Math.min(to, view.complete)) };
  const [all, placed] = from < Math.min(to, view.complete)
    ? await Promise.all([get("/summary/vehicle_type", bounds), get("/top/h3", { ...bounds, limit: 1 })])
    : [];
  view.unplaced = all ? Math.max(0, all.trip_count - placed.total.trip_count) : 0;
  panel.showUnplaced(view.unplaced);
  paint();
}

/** Load what is beside the map: the hours of the week of all trips, and how many of these have no place. */
const loadBeside = throttle(() => Promise.all([
  week.load("vehicle_type", null, range),
  countUnplaced().catch(() => {}), // the map shows the error
]), 1000);

range.onChoice(() => {
  showRange();
  load();
  loadBeside();
});

const refresh = throttle(load, 1000);
onStatus((status) => {
  const before = range.now;
  if (!range.update(status)) {
    if (!view.top) showNotice(waiting(status.error));
    return;
  }
  view.isFinal = isFinal(status);
  view.complete = completeUntil(status);
  showRange();
  if ((before !== range.now && range.follows) || !view.top) refresh();
});
setInterval(() => range.now !== null && !range.ended && !document.hidden && loadOverview(), OVERVIEW_INTERVAL);

subscribe("h3", null, {
  onGap: () => refresh(),
  onWindows(windows) {
    if (range.now === null) return;
    range.advanceTo(Math.max(...windows.map((window) => Date.parse(window.window_end))));
    showRange();
    const { from, to } = range.bounds;
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
