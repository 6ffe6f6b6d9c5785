// The timeline: a slider over the last day of event time, with bars of trips.

import { el, svg } from "./dom.js";
import { clock, count, moment, period } from "./format.js";
import { roundTimes } from "./time-zone.js";

const DAY = 24 * 3600_000;
const TICK = 3 * 3600_000;
const PLAY_INTERVAL = 320;
const PLAY_STEP = 900_000;

/** The slider sets the end of the shown period; at its right end it follows the newest window. */
export class Timeline {
  constructor({ window, onChange }) {
    Object.assign(this, { window, onChange, end: null, newest: null, length: window, bars: [], playing: null });
    this.output = el("output", { for: "when" });
    this.now = el("button", { type: "button", onclick: () => { this.stop(); this.setEnd(null); } }, "Live");
    this.play = el("button", { type: "button", onclick: () => (this.playing ? this.stop() : this.start()) }, "Play the day");
    this.slider = el("input", {
      id: "when", type: "range", "aria-label": "End of the shown period, in the last 24 hours",
      oninput: () => this.slide(Number(this.slider.value)),
    });
    this.chart = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    this.ticks = el("div", { class: "ticks", "aria-hidden": "true" });
    this.caption = el("span", { class: "note" });
    this.node = el("section", { class: "time", "aria-label": "Time" },
      el("div", { class: "row" }, this.now, this.play, this.output, this.caption),
      el("div", { class: "day" }, this.chart), this.slider, this.ticks);
  }

  /** The shown period, in epoch ms; without a first time if its length is infinite. */
  get range() {
    const to = this.end ?? this.newest;
    return { from: to - this.length, to };
  }

  get isLive() {
    return this.end === null;
  }

  /** Move the newest window forward to a time; return true if that changed the shown period. */
  advanceTo(time) {
    const newest = Math.floor(time / this.window) * this.window + this.window;
    if (this.newest !== null && newest <= this.newest) return false;
    this.newest = newest;
    if (this.end !== null && this.end <= newest - DAY) this.end = newest - DAY + this.window;
    this.draw();
    return this.isLive;
  }

  setLength(length) {
    this.length = length;
    this.draw();
  }

  /** Set the bars: [{from, trips}], one per window. */
  setBars(bars) {
    this.bars = bars;
    this.draw();
  }

  setEnd(end) {
    this.end = end;
    this.draw();
    this.onChange();
  }

  slide(steps) {
    this.stop();
    this.setEnd(steps === 0 ? null : this.newest + steps * this.window);
  }

  start() {
    let end = this.newest - DAY + PLAY_STEP;
    this.playing = setInterval(() => {
      end += PLAY_STEP;
      if (end >= this.newest) {
        this.stop();
        this.setEnd(null);
      } else this.setEnd(end);
    }, PLAY_INTERVAL);
    this.draw();
  }

  /** Let the timeline end at a time before its newest window; an earlier period stays. */
  endAt(newest) {
    this.newest = newest;
    this.setEnd(this.end < newest ? this.end : null);
  }

  /** Whether no newer window is to come. */
  setEnded(ended) {
    this.now.textContent = ended ? "Latest" : "Live";
  }

  stop() {
    clearInterval(this.playing);
    this.playing = null;
    this.draw();
  }

  draw() {
    if (this.newest === null) return;
    const { from, to } = this.range;
    const first = this.newest - DAY;
    Object.assign(this.slider, { min: -DAY / this.window + 1, max: 0, step: 1, value: (to - this.newest) / this.window });
    const text = this.textOf(from, to);
    this.output.textContent = text;
    this.slider.setAttribute("aria-valuetext", this.isLive ? `${this.now.textContent.toLowerCase()}, ${text}` : text);
    this.now.setAttribute("aria-pressed", this.isLive);
    this.play.textContent = this.playing ? "Pause" : "Play the day";
    this.drawBars(first, from, to);
    this.drawTicks(first);
  }

  textOf(from, to) {
    if (!Number.isFinite(from)) return `all dates until ${moment(to)}`;
    return to - from >= DAY ? `${moment(from)} – ${moment(to)}` : period(from, to, { withDay: true });
  }

  drawBars(first, from, to) {
    const shown = this.bars.filter((bar) => bar.from >= first && bar.from < this.newest);
    const most = Math.max(1, ...shown.map((bar) => bar.trips));
    this.chart.setAttribute("viewBox", `0 0 ${DAY / this.window} 100`);
    this.chart.replaceChildren(...shown.map((bar) => {
      const height = (bar.trips / most) * 100;
      return svg("rect", {
        x: (bar.from - first) / this.window + 0.1, width: 0.8, y: 100 - height, height,
        class: bar.from >= from && bar.from < to ? "in" : "",
      });
    }));
    this.caption.textContent = shown.length ? `bars: trips per ${this.window / 60_000} min, highest ${count(most)}` : "";
  }

  drawTicks(first) {
    const marks = [];
    for (const time of roundTimes(first, this.newest, TICK)) {
      const position = (time - first) / DAY;
      if (position < 0.03 || position > 0.97) continue;
      const mark = el("span", {}, clock(time));
      mark.style.left = `${position * 100}%`;
      marks.push(mark);
    }
    this.ticks.replaceChildren(...marks);
  }
}
