// Charts by ECharts in our colours, each with its numbers as a table.

import { colour, el, onTheme, table } from "./dom.js";

const charts = new Set();
onTheme(() => charts.forEach((chart) => chart.paint()));

/**
 * A chart that is told what to show: `show({option, summary, columns, rows})`. `option(theme)` returns
 * ECharts' option; `summary` says it in words; `columns` and `rows` are the table.
 */
export class Chart {
  constructor({ title, note = "", small = false }) {
    this.box = el("div", { class: `chart${small ? " small" : ""}`, role: "img", "aria-label": `${title}. Nothing to show yet.` });
    this.rows = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `${title}: table` });
    this.details = el("details", { class: "table", ontoggle: () => this.paintTable() }, el("summary", {}, "As a table", el("span", { class: "unseen" }, `: ${title}`)), this.rows);
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
    const theme = themed();
    this.chart.setOption({ ...base(theme), ...this.shown.option(theme) }, { replaceMerge: ["series"], lazyUpdate: true });
  }

  paintTable() {
    if (!this.shown || !this.details.open) return;
    this.rows.replaceChildren(table(this.title, this.shown.columns, this.shown.rows()));
  }
}

const NAMES = ["ink", "muted", "line", "panel", "raised", "accent", "kind-0", "kind-1", "kind-2", "kind-3"];
const themed = () => Object.fromEntries(NAMES.map((name) => [name, colour(name)]));

/** Colours of kinds, in the order of the kinds' names in a list: the same everywhere. */
export const kindColour = (theme, index) => theme[`kind-${Math.min(index, 3)}`];

function base(theme) {
  return {
    animation: false, // numbers that change every second must not dance
    textStyle: { color: theme.muted, fontFamily: "ui-sans-serif, system-ui, sans-serif" },
    grid: { left: 4, right: 8, top: 34, bottom: 4, containLabel: true },
    legend: {
      type: "scroll", top: 0, left: 0, right: 0, itemWidth: 12, itemHeight: 12, itemGap: 16, icon: "roundRect",
      textStyle: { color: theme.ink }, formatter: shortened, pageTextStyle: { color: theme.muted },
      pageIconColor: theme.accent, pageIconInactiveColor: theme.line,
    },
  };
}

const LONGEST = 20;
const shortened = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);

/** An axis of event time; `format` writes its marks. */
export const timeAxis = (theme, format, more = {}) => ({
  type: "time", useUTC: true, axisLine: { lineStyle: { color: theme.line } }, axisTick: { show: false }, splitNumber: 6,
  axisLabel: { color: theme.muted, hideOverlap: true, formatter: (value) => format(value) }, ...more,
});

export const valueAxis = (theme, format) => ({
  type: "value", min: 0, splitNumber: 4, axisLabel: { color: theme.muted, formatter: (value) => format(value) },
  splitLine: { lineStyle: { color: theme.line } },
});

/** A tooltip of plain text lines: nothing in it is read as markup. */
export function tooltip(theme, title, text, unit) {
  return {
    trigger: "axis", renderMode: "richText", confine: true, backgroundColor: theme.panel, borderColor: theme.line,
    textStyle: { color: theme.ink, fontSize: 12 }, axisPointer: { type: "line", lineStyle: { color: theme.muted } },
    formatter(points) {
      const [first] = points;
      const value = (point) => (Array.isArray(point.value) ? point.value[1] : point.value);
      const lines = points.filter((point) => value(point) !== null).map((point) => `${plain(point.seriesName)}  ${text(value(point))}${unit}`);
      return [plain(String(title(first.axisValue))), ...lines].join("\n");
    },
  };
}

/** Braces and bars are ECharts' own markup of styles: {name|text}. */
const plain = (text) => text.replaceAll("{", "(").replaceAll("|", "¦");
