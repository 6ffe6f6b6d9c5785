// The range of times that a page shows. In the URL, `from` and `to` are times as the API takes them,
// or `from` is relative to the end of the data: now-24h, or now/d for its day. Without `to` a range
// ends with the data.

import { query, setQuery } from "./address.js";
import { iso } from "./api.js";
import { hasEnded, minWatermark, newestEventTime } from "./frame.js";
import { localDay, localTime, timeOf } from "./time-zone.js";

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const UNITS = { m: MINUTE, h: 60 * MINUTE, d: DAY };
const LOCAL = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?$/;
const WITH_OFFSET = /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/;

export class DateRange {
  /**
   * `live` is the first bound while trips come. A range that `isClosed` ends with the newest window that
   * has closed: it can be compared with the one before.
   */
  constructor({ live = "now-24h", isClosed = false } = {}) {
    Object.assign(this, { live: { from: live, to: null }, isClosed, now: null, extent: null, ended: false, window: MINUTE, listeners: [] });
    this.read();
  }

  /** Call the listener whenever another range is chosen. */
  onChoice(listener) {
    this.listeners.push(listener);
  }

  /** Take the range of the URL. Older links have its length in minutes in `span`, or "all". */
  read() {
    const given = query();
    const span = given.get("span");
    this.chosen = given.has("from") || given.has("to") ? { from: given.get("from"), to: given.get("to") } : null;
    this.wantsAll = !this.chosen && span === "all";
    if (!this.chosen && Number(span) > 0) this.chosen = lastMinutes(Number(span));
    if (span !== null && !this.wantsAll) setQuery({ span: null, ...this.chosen });
  }

  /** Take a response of /status; returns false while there is no watermark. */
  update(status) {
    const time = newestEventTime(status);
    if (status.error || time === null) return false;
    const { extent } = status;
    this.window = status.settings.window;
    this.extent = extent && { from: Date.parse(extent.from), to: Date.parse(extent.to) };
    this.ended = hasEnded(status);
    // At the end of a file the watermark is after the last trip.
    if (this.ended) this.now = this.extent.to;
    else if (this.isClosed) this.advanceTo(Math.floor(minWatermark(status) / this.window) * this.window);
    else [Math.floor(time / this.window) * this.window + this.window, this.extent?.to ?? 0].forEach((end) => this.advanceTo(end));
    if (this.wantsAll && this.all) {
      Object.assign(this, { chosen: this.all, wantsAll: false });
      setQuery({ span: null, ...this.chosen });
    }
    return true;
  }

  /** Move the end of the data forward to a time, which is the end of a window. */
  advanceTo(time) {
    if (this.now === null || time > this.now) this.now = time;
  }

  /** All of the data, in whole days; null if its extent is not known. */
  get all() {
    if (!this.extent) return null;
    const to = this.ended ? textOf(timeOf(localDay(this.extent.to - 1) + DAY)) : null;
    return { from: textOf(timeOf(localDay(this.extent.from))), to };
  }

  /** The texts of both bounds. */
  get texts() {
    if (this.chosen) return this.chosen;
    return (this.ended && this.all) || this.live;
  }

  /** Whether the range ends with the data. */
  get follows() {
    return this.boundAt(this.texts.to) === null;
  }

  /** Both bounds in epoch ms, which are bounds of windows as in the API. */
  get bounds() {
    const { from, to } = this.texts;
    const [first, last] = [this.boundAt(from) ?? this.extent?.from ?? this.now - DAY, this.boundAt(to) ?? this.now]
      .map((time) => Math.ceil(time / this.window) * this.window);
    return { from: first, to: Math.max(last, first) };
  }

  /** Whether all of the data is in the range. */
  get hasAll() {
    const { from, to } = this.bounds;
    return this.extent !== null && from <= this.extent.from && to >= this.extent.to;
  }

  /** The parameters of requests; without bounds the API answers from totals, also with what comes meanwhile. */
  get parameters() {
    const { from, to } = this.bounds;
    return this.hasAll ? {} : { from: iso(from), to: iso(to) };
  }

  /** A bound in epoch ms; null without one, and for a text that is none. */
  boundAt(text) {
    const [, number, unit] = /^now-(\d+)([mhd])$/.exec(text) ?? [];
    if (number) return this.now - number * UNITS[unit];
    if (text === "now/d") return timeOf(localDay(this.now - 1));
    if (LOCAL.test(text)) return timeOf(Date.parse(text.includes("T") ? `${text}Z` : text));
    const time = WITH_OFFSET.test(text) ? Date.parse(text) : NaN;
    return Number.isNaN(time) ? null : time;
  }

  /** Choose a range by the texts of its bounds. */
  choose({ from, to }) {
    this.chosen = { from, to };
    setQuery(this.chosen);
    this.listeners.forEach((listener) => listener());
  }

  chooseTimes(from, to) {
    this.choose({ from: textOf(from), to: textOf(to) });
  }

  /** Choose the range of a length that ends with the data. */
  follow(length) {
    this.choose(lastMinutes(length / MINUTE));
  }

  /** Whether there is data beyond the range: before it (-1), or after it (1). */
  hasMore(direction) {
    const { from, to } = this.bounds;
    return direction < 0 ? from > (this.extent?.from ?? -Infinity) : to < this.now;
  }

  /** Choose the range before (-1), or the one after it (1): whole months are followed by whole months. */
  step(direction) {
    const { from, to } = this.bounds;
    if (this.hasMore(direction)) this.chooseTimes(...neighbour(from, to, direction));
  }

  /** The range before, in epoch ms; null if it has no data. */
  get before() {
    const { from, to } = this.bounds;
    if (!this.hasMore(-1)) return null;
    const [first, last] = neighbour(from, to, -1);
    return { from: first, to: last };
  }
}

const lastMinutes = (minutes) => ({ from: minutes % 60 ? `now-${minutes}m` : `now-${minutes / 60}h`, to: null });

/** A time as the API takes it: local, in short, unless clocks show it twice. */
export function textOf(time) {
  const local = localTime(time);
  if (timeOf(local) !== time || local % MINUTE) return iso(time);
  return new Date(local).toISOString().slice(0, local % DAY ? 16 : 10);
}

/** The range before or after another one, of as many local months or days if those are whole. */
function neighbour(from, to, direction) {
  const [first, last] = [from, to].map(localTime);
  if (first % DAY || last % DAY) return [from, to].map((time) => time + direction * (to - from));
  const months = monthsBetween(first, last);
  const move = months
    ? (local) => addMonths(local, direction * months)
    : (local) => local + direction * (last - first);
  return [first, last].map((local) => timeOf(move(local)));
}

/** The number of months between two local times; 0 if they are not first days of months. */
function monthsBetween(...locals) {
  const [first, last] = locals.map((local) => new Date(local));
  if (first.getUTCDate() !== 1 || last.getUTCDate() !== 1) return 0;
  return 12 * (last.getUTCFullYear() - first.getUTCFullYear()) + last.getUTCMonth() - first.getUTCMonth();
}

function addMonths(local, months) {
  const day = new Date(local);
  return day.setUTCMonth(day.getUTCMonth() + months);
}
