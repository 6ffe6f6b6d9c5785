// City: where it is hot, now and over the last day.

import { get, iso, live, pageSettings, paced } from "./api.js";
import { ancestor, grouped, isCell } from "./cells.js";
import { CityPanel } from "./city-panel.js";
import { el, state, svg } from "./dom.js";
import { metricOf, valueOf } from "./format.js";
import { frame, furthestTime, onStatus } from "./frame.js";
import { Legend, tooltip } from "./legend.js";
import { CellMap } from "./map.js";
import { bounds, classOf, stepOf } from "./scale.js";
import { Timeline } from "./timeline.js";

const MOST = 5000;
const DAY = 24 * 3600_000;
const DAY_AGAIN = 60_000;

frame("City");
document.body.classList.add("city");

const asked = new URLSearchParams(location.search);
const view = { metric: metricOf(asked.get("metric")), items: [], answer: null, known: new Map() };
const settings = await settled();

const canvas = el("canvas", {
  tabIndex: 0, role: "img", "aria-label": "Map of cells. Arrow keys move it, plus and minus zoom, 0 shows all. The list beside it has the same numbers.",
});
const tip = tooltip();
const message = el("div", { hidden: true });
const legend = new Legend();
const map = new CellMap(canvas, {
  onHover: (id, at) => tip.show(id && shown.get(id), at, view.metric, canvas),
  onPick: (id) => select(id),
  onLevel: () => paint(),
});
let shown = new Map();
const timeline = new Timeline({ window: settings.window, onChoose: () => ask() });
const panel = new CityPanel({
  window: settings.window, metric: view.metric, span: Number(asked.get("span")),
  onMetric(metric) { view.metric = metric; remember(); ask(); },
  onSpan(length) { timeline.setLength(length); remember(); ask(); },
  onCell: (id) => select(isCell(id) ? ancestor(id, map.level) : null, true),
});
map.tiles = settings.tiles;
timeline.setLength(panel.length);

document.getElementById("main").append(
  el("h1", { class: "unseen" }, "City"),
  el("section", { class: "map", "aria-label": "Map" }, canvas, zoomButtons(), message, tip.node,
    settings.tiles ? el("p", { class: "over credit" }, settings.tiles_credit ?? "") : null),
  legend.node,
  timeline.node,
  panel.node,
);
map.resize();

let question = null;
/** Ask for what is to be shown, and show it; a newer question ends an older one. */
async function ask() {
  if (timeline.newest === null) return;
  question?.abort();
  question = new AbortController();
  const { from, to } = timeline.range;
  try {
    const parameters = { from: iso(from), to: iso(to), by: view.metric.by, limit: MOST };
    view.answer = await get("/top/h3", parameters, { signal: question.signal });
  } catch (error) {
    if (error.name !== "AbortError") tell(state("bad", error.title ?? "The page failed", error.message));
    return;
  }
  view.items = view.answer.items;
  if (view.known.size) remind(view.items);
  paint();
}

function paint() {
  if (!view.answer) return;
  shown = grouped(view.items.filter((item) => isCell(item.id)), map.level ?? 9);
  const values = [...shown.values()].map((cell) => valueOf(view.metric, cell));
  const limits = bounds(values);
  const step = (totals) => stepOf(classOf(valueOf(view.metric, totals), limits), limits);
  map.setCells(new Map([...shown].map(([id, cell]) => [id, step(cell)])));
  legend.show(view.metric, limits, { level: map.level, finest: map.finest, empty: !shown.size });
  panel.show(view.answer, view.metric, step);
  panel.select(shown.get(map.selected));
  tell(view.items.length ? null : state("empty", "No trips in this time", "Choose another one below, or wait for the next."));
}

const tell = (node) => {
  message.hidden = !node;
  message.replaceChildren(...(node ? [node] : []));
};

function select(id, centre = false) {
  map.select(id, centre);
  panel.select(shown.get(id));
}

/** Cells that had trips in the last day are the ground; new ones join it. */
function remind(items) {
  const before = view.known.size;
  for (const { id, trip_count: trips } of items) if (!view.known.has(id)) view.known.set(id, trips);
  if (view.known.size !== before) map.setGround(view.known);
}

async function askDay() {
  const range = { from: iso(timeline.newest - DAY), to: iso(timeline.newest) };
  try {
    const [cells, kinds] = await Promise.all([
      get("/top/h3", { ...range, by: "trips", limit: MOST }),
      get("/top/vehicle_type", { ...range, by: "trips", limit: 12 }),
    ]);
    remind(cells.items);
    const series = await Promise.all(kinds.items.map(({ id }) => get("/windows/vehicle_type", { id, ...range })));
    const bars = new Map();
    for (const { window_start: start, trip_count: trips } of series.flatMap((one) => one.items)) {
      bars.set(start, (bars.get(start) ?? 0) + trips);
    }
    timeline.setBars([...bars].map(([start, trips]) => ({ from: Date.parse(start), trips })));
  } catch {
    remind(view.items);
    // The map says what is wrong; the bars are asked for again in a minute.
  }
}

const refresh = paced(ask, 1000);
onStatus((status) => {
  // Not what all partitions have reached: the newest windows are open, and theirs are the live trips.
  const time = furthestTime(status);
  if (status.error || time === null) {
    if (!view.answer) tell(waiting(status.error));
    return;
  }
  const first = timeline.newest === null;
  if (timeline.reach(time) || (!view.answer && !first)) refresh();
  if (first) askDay();
});
setInterval(() => timeline.newest !== null && !document.hidden && askDay(), DAY_AGAIN);

live("h3", null, {
  onGap: () => refresh(),
  onWindows(windows) {
    const newest = Math.max(...windows.map((window) => Date.parse(window.window_start)));
    if (timeline.newest !== null) timeline.reach(newest);
    const { from, to } = timeline.range;
    const inside = windows.filter(({ window_start: start }) => Date.parse(start) >= from && Date.parse(start) < to);
    if (!inside.length) return;
    map.pulse(inside.filter(({ id }) => isCell(id)).map(({ id }) => ancestor(id, map.level)));
    refresh();
  },
});

function waiting(error) {
  return error
    ? state("bad", error.title, error.message)
    : state("loading-text", "Waiting for the first watermark", "The flow has not yet told how far it is.");
}

function remember() {
  history.replaceState(null, "", `?${new URLSearchParams({ metric: view.metric.key, span: panel.length / 60_000 })}`);
}

function zoomButtons() {
  const button = (path, label, act) => el("button", { class: "icon", type: "button", "aria-label": label, title: label, onclick: act },
    svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path })));
  return el("div", { class: "over zoom" },
    button("M12 5v14M5 12h14", "Zoom in", () => map.zoom(1.6)),
    button("M5 12h14", "Zoom out", () => map.zoom(1 / 1.6)),
    button("M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5", "Show all cells", () => map.fit()));
}

async function settled() {
  for (;;) {
    try {
      return await pageSettings();
    } catch {
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}
