// The timeline: the trips of a stretch of time as bars, with the shown range, which a slider moves. Dragging
// over the bars chooses another range.

import { el, svg } from "./dom.js";
import { clock, count, day, rangeText } from "./format.js";
import { roundTimes, tickStep } from "./time-zone.js";

const DAY = 24 * 3600_000;
const TICK = 3 * 3600_000;
const TICK_WIDTH = 100;
const PLAY_INTERVAL = 320;
const PLAY_STEPS = 96;
const MIN_DRAG = 5;

export class Timeline {
  /** `range` is the DateRange that it shows and sets. */
  constructor(range) {
    Object.assign(this, { range, bars: [], playing: null, drag: null, stretch: null });
    this.output = el("output", { for: "when" });
    this.now = el("button", { type: "button", onclick: () => { this.stop(); this.follow(); } }, "Live");
    this.play = el("button", { type: "button", onclick: () => (this.playing ? this.stop() : this.start()) }, "Play");
    this.slider = el("input", {
      id: "when", type: "range", "aria-label": "End of the shown range", oninput: () => this.slide(Number(this.slider.value)),
    });
    this.chart = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
    this.brush = el("div", { class: "brush", hidden: true });
    this.ticks = el("div", { class: "ticks", "aria-hidden": "true" });
    this.caption = el("span", { class: "note" });
    this.day = el("div", {
      class: "day", onpointerdown: (event) => this.press(event), onpointermove: (event) => this.pull(event),
      onpointerup: () => this.release(), onpointercancel: () => this.release(false),
    }, this.chart, this.brush);
    this.row = el("div", { class: "row" }, this.now, this.play, this.output, this.caption);
    this.node = el("section", { class: "time", "aria-label": "Time" }, this.row, this.day, this.slider, this.ticks);
  }

  /** Set the stretch of time that the bars have, {from, to}, and the length of a bar. */
  setStretch(stretch, step) {
    Object.assign(this, { stretch, step });
    this.draw();
  }

  /** Set the bars: [{from, trips}]. */
  setBars(bars) {
    this.bars = bars;
    this.draw();
  }

  get length() {
    const { from, to } = this.range.bounds;
    return to - from;
  }

  follow() {
    this.range.follow(this.length);
  }

  /** Let the range end this many steps before the end of the data. */
  slide(steps) {
    this.stop();
    if (steps === 0) return this.follow();
    this.endAt(this.range.now + steps * this.step);
  }

  endAt(end) {
    this.range.chooseTimes(end - this.length, end);
  }

  /** Move the range through the stretch, from its beginning to its end. */
  start() {
    const { from, to } = this.stretch;
    const { window } = this.range;
    const step = Math.ceil((to - from) / PLAY_STEPS / window) * window;
    let end = Math.ceil(from / window) * window + this.length;
    this.playing = setInterval(() => {
      end += step;
      if (end >= to) {
        this.stop();
        this.follow();
      } else this.endAt(end);
    }, PLAY_INTERVAL);
    this.draw();
  }

  stop() {
    clearInterval(this.playing);
    this.playing = null;
    this.draw();
  }

  press(event) {
    if (!this.stretch || event.button) return;
    this.day.setPointerCapture(event.pointerId);
    this.drag = { first: this.positionOf(event), last: this.positionOf(event) };
  }

  pull(event) {
    if (!this.drag) return;
    this.drag.last = this.positionOf(event);
    const { first, last } = this.drag;
    this.brush.hidden = Math.abs(last - first) * this.day.clientWidth < MIN_DRAG;
    this.brush.style.left = `${Math.min(first, last) * 100}%`;
    this.brush.style.width = `${Math.abs(last - first) * 100}%`;
  }

  release(chooses = true) {
    const isDrag = chooses && this.drag && !this.brush.hidden;
    const [first, last] = isDrag ? [this.drag.first, this.drag.last].sort((a, b) => a - b) : [];
    this.drag = null;
    this.brush.hidden = true;
    if (isDrag) this.chooseBars(first, last);
  }

  /** Choose the bars from one position to another. */
  chooseBars(first, last) {
    this.stop();
    const { from, to } = this.stretch;
    const time = (position, round) => from + round((position * (to - from)) / this.step) * this.step;
    this.range.chooseTimes(time(first, Math.floor), Math.min(to, time(last, Math.ceil)));
  }

  /** The position of the pointer on the bars, from 0 to 1. */
  positionOf({ clientX }) {
    const { left, width } = this.day.getBoundingClientRect();
    return Math.max(0, Math.min(1, (clientX - left) / width));
  }

  draw() {
    if (!this.stretch) return;
    const { from, to } = this.range.bounds;
    const { follows, now, ended } = this.range;
    // The handle is where the range ends on the bars.
    const steps = Math.ceil((now - this.stretch.from) / this.step);
    const isFull = this.length >= now - this.stretch.from;
    Object.assign(this.slider, { min: 1 - Math.max(2, steps), max: 0, step: 1, value: Math.round((to - now) / this.step), disabled: isFull });
    const text = rangeText(from, to);
    this.output.textContent = text;
    this.now.textContent = ended ? "Latest" : "Live";
    this.slider.setAttribute("aria-valuetext", follows ? `${this.now.textContent.toLowerCase()}, ${text}` : text);
    this.now.setAttribute("aria-pressed", String(follows));
    this.play.textContent = this.playing ? "Pause" : "Play";
    this.play.disabled = isFull;
    this.drawBars(from, to);
    this.drawTicks();
  }

  drawBars(from, to) {
    const { from: first, to: last } = this.stretch;
    const shown = this.bars.filter((bar) => bar.from >= first && bar.from < last);
    const most = Math.max(1, ...shown.map((bar) => bar.trips));
    this.chart.setAttribute("viewBox", `0 0 ${(last - first) / this.step} 100`);
    this.chart.replaceChildren(...shown.map((bar) => {
      const height = (bar.trips / most) * 100;
      return svg("rect", {
        x: (bar.from - first) / this.step + 0.1, width: 0.8, y: 100 - height, height,
        class: bar.from + this.step > from && bar.from < to ? "in" : "",
      });
    }));
    this.caption.textContent = shown.length ? `bars: trips per ${stepText(this.step)}, highest ${count(most)}` : "";
  }

  drawTicks() {
    const { from, to } = this.stretch;
    const isDay = to - from <= DAY;
    const hasClocks = to - from < 3 * DAY;
    const width = this.ticks.clientWidth || TICK_WIDTH;
    const edge = hasClocks ? 0.03 : TICK_WIDTH / 2 / width;
    const marks = [];
    for (const time of roundTimes(from, to, isDay ? TICK : tickStep(from, to, width / TICK_WIDTH))) {
      const position = (time - from) / (to - from);
      if (position < edge || position > 1 - edge) continue;
      const mark = el("span", {}, hasClocks ? clock(time) : day(time));
      mark.style.left = `${position * 100}%`;
      marks.push(mark);
    }
    this.ticks.replaceChildren(...marks);
  }
}

const stepText = (step) => (step >= DAY ? "day" : step === 3600_000 ? "hour" : `${step / 60_000} min`);
