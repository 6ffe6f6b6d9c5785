// Charts by ECharts in the colours of the pages, each with its numbers as a table.

import { colour, el, onTheme, table } from "./dom.js";
import { roundTimes } from "./time-zone.js";

const charts = new Set();
onTheme(() => charts.forEach((chart) => chart.paint()));

/**
 * A chart. `show({option, summary, columns, rows})` draws it: `option(theme)` returns the option of
 * ECharts, `summary` is the text for screen readers, and `columns` and `rows` are the table.
 */
export class Chart {
  constructor({ title, note = "", small = false }) {
    this.box = el("div", { class: `chart${small ? " small" : ""}`, role: "img", "aria-label": `${title}. No data yet.` });
    this.rows = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `${title}: table` });
    this.details = el("details", { class: "table", ontoggle: () => this.paintTable() }, el("summary", {}, "As a table", el("span", { class: "visually-hidden" }, `: ${title}`)), this.rows);
    this.note = el("p", { class: "note" }, note);
    this.title = title;
    this.node = el("section", { class: "panel", "aria-label": title }, el("h2", {}, title), this.note, this.box, this.details);
    charts.add(this);
  }

  show(shown) {
    this.shown = shown;
    if (shown.note) this.note.textContent = shown.note;
    this.box.setAttribute("aria-label", `${this.title}. ${shown.summary}`);
    this.paint();
    this.paintTable();
  }

  paint() {
    if (!this.shown || !this.box.isConnected) return;
    if (!this.chart) {
      this.chart = window.echarts.init(this.box, null, { renderer: "canvas" });
      new ResizeObserver(() => this.chart.resize()).observe(this.box);
    }
    const theme = themeColours();
    this.chart.setOption({ ...baseOption(theme), ...this.shown.option(theme) }, { replaceMerge: ["series"], lazyUpdate: true });
  }

  paintTable() {
    if (!this.shown || !this.details.open) return;
    this.rows.replaceChildren(table(this.title, this.shown.columns, this.shown.rows()));
  }
}

const NAMES = ["ink", "muted", "line", "panel", "raised", "accent", "kind-0", "kind-1", "kind-2", "kind-3"];
const themeColours = () => Object.fromEntries(NAMES.map((name) => [name, colour(name)]));

/** The colour of a vehicle type, by its index in the sorted list of their names. */
export const kindColour = (theme, index) => theme[`kind-${Math.min(index, 3)}`];

function baseOption(theme) {
  return {
    animation: false, // the numbers change every second
    textStyle: { color: theme.muted, fontFamily: "ui-sans-serif, system-ui, sans-serif" },
    grid: { left: 4, right: 8, top: 34, bottom: 4, containLabel: true },
    legend: {
      type: "scroll", top: 0, left: 0, right: 0, itemWidth: 12, itemHeight: 12, itemGap: 16, icon: "roundRect",
      textStyle: { color: theme.ink }, formatter: shorten, pageTextStyle: { color: theme.muted },
      pageIconColor: theme.accent, pageIconInactiveColor: theme.line,
    },
  };
}

const MAX_LENGTH = 20;
const shorten = (text) => (text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text);

/** An axis of time for data from `from` to `to`; `format` formats its labels, which are at round local times. */
export const timeAxis = (theme, format, { from, to }, more = {}) => ({
  type: "time", axisLine: { lineStyle: { color: theme.line } }, axisTick: { show: false },
  axisLabel: { color: theme.muted, hideOverlap: true, customValues: roundTimes(from, to), formatter: (value) => format(value) }, ...more,
});

/** A value for ECharts, which takes no objects. */
export const plotted = (value) => (value === null ? null : Number(value));

export const valueAxis = (theme, format) => ({
  type: "value", min: 0, splitNumber: 4, axisLabel: { color: theme.muted, formatter: (value) => format(value) },
  splitLine: { lineStyle: { color: theme.line } },
});

/** A tooltip of text lines; nothing in it is interpreted as markup. */
export function tooltip(theme, title, text, unit) {
  return {
    trigger: "axis", renderMode: "richText", confine: true, backgroundColor: theme.panel, borderColor: theme.line,
    textStyle: { color: theme.ink, fontSize: 12 }, axisPointer: { type: "line", lineStyle: { color: theme.muted } },
    formatter(points) {
      const [first] = points;
      if (!first) return "";
      const value = (point) => (Array.isArray(point.value) ? point.value[1] : point.value);
      const lines = points.filter((point) => (value(point) ?? null) !== null).map((point) => `${plain(point.seriesName)}  ${text(value(point))}${unit}`);
      return [plain(String(title(first.axisValue))), ...lines].join("\n");
    },
  };
}

/** Replace the markup of ECharts for styles: {name|text}. */
const plain = (text) => text.replaceAll("{", "(").replaceAll("|", "¦");
