// The last day of event time: a slider over what happened in it.

import { el, svg } from "./dom.js";
import { clock, count, day, span } from "./format.js";

const DAY = 24 * 3600_000;
const EVERY = 320;
const STRIDE = 900_000;

/** The slider chooses where the shown span ends; at its right end it follows the newest window. */
export class Timeline {
  constructor({ window, onChoose }) {
    Object.assign(this, { window, onChoose, end: null, newest: null, length: window, bars: [], playing: null });
    this.output = el("output", { for: "when" });
    this.now = el("button", { type: "button", onclick: () => { this.stop(); this.choose(null); } }, "Live");
    this.play = el("button", { type: "button", onclick: () => (this.playing ? this.stop() : this.start()) }, "Play the day");
    this.slider = el("input", {
      id: "when", type: "range", "aria-label": "End of the shown time, over the last 24 hours",
      oninput: () => this.slide(Number(this.slider.value)),
    });
    this.chart = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    this.ticks = el("div", { class: "ticks", "aria-hidden": "true" });
    this.caption = el("span", { class: "note" });
    this.node = el("section", { class: "time", "aria-label": "Time" },
      el("div", { class: "row" }, this.now, this.play, this.output, this.caption),
      el("div", { class: "day" }, this.chart), this.slider, this.ticks);
  }

  /** The span that is shown, in epoch ms. */
  get range() {
    const to = this.end ?? this.newest;
    return { from: to - this.length, to };
  }

  get isLive() {
    return this.end === null;
  }

  /** Tell up to when there are windows; true where that moved what is shown. */
  reach(time) {
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

  /** Show how many trips there were: [{from, trips}], a window each. */
  setBars(bars) {
    this.bars = bars;
    this.draw();
  }

  choose(end) {
    this.end = end;
    this.draw();
    this.onChoose();
  }

  slide(steps) {
    this.stop();
    this.choose(steps === 0 ? null : this.newest + steps * this.window);
  }

  start() {
    let end = this.newest - DAY + STRIDE;
    this.playing = setInterval(() => {
      end += STRIDE;
      if (end >= this.newest) {
        this.stop();
        this.choose(null);
      } else this.choose(end);
    }, EVERY);
    this.draw();
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
    const text = to - from >= DAY ? `${day(from)} ${clock(from)} – ${day(to)} ${clock(to)}` : span(from, to, true);
    this.output.textContent = text;
    this.slider.setAttribute("aria-valuetext", this.isLive ? `live, ${text}` : text);
    this.now.setAttribute("aria-pressed", this.isLive);
    this.play.textContent = this.playing ? "Pause" : "Play the day";
    this.drawBars(first, from, to);
    this.drawTicks(first);
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
    const step = 3 * 3600_000;
    const marks = [];
    for (let time = Math.ceil(first / step) * step; time < this.newest; time += step) {
      const place = (time - first) / DAY;
      if (place < 0.03 || place > 0.97) continue;
      const mark = el("span", {}, clock(time));
      mark.style.left = `${place * 100}%`;
      marks.push(mark);
    }
    this.ticks.replaceChildren(...marks);
  }
}
