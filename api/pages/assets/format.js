// Formats of numbers, and of times in the time zone of the pages.

import { MEASURES } from "./measures.js";
import { inZone, isRepeated, localDay, localTime, rangeInZone, zoneAt } from "./time-zone.js";

const LOCALE = "en-GB";
const DAY = 24 * 3600_000;
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const two = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumSignificantDigits: 3 });
const tiny = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 2 });
const hm = inZone({ hour: "2-digit", minute: "2-digit" });
const hms = inZone({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayMonth = inZone({ day: "numeric", month: "short" });
const fullDay = inZone({ day: "numeric", month: "short", year: "numeric" });
const fromDayToDay = rangeInZone({ day: "numeric", month: "long", year: "numeric" });
const yearOf = inZone({ year: "numeric" });

const NONE = "–";
/** Format a value if there is one; of a number with more digits than a double, the text. */
const or = (format) => (value) => (value === null || value === undefined ? NONE : format(value.text ?? value));

export const count = or((value) => whole.format(value));
export const decimal = or((value) => one.format(value));
export const money = or((value) => two.format(value));
export const compact = or((value) => short.format(value));
/** A number in a small space, such as 0.04, 4.2, 312 or 1.2K. */
export const brief = or((value) => briefFormat(value).format(value));
const briefFormat = (value) => {
  if (Math.abs(value) >= 10 || value % 1 === 0) return short;
  return Math.abs(value) < 0.1 ? tiny : one;
};
export const percent = or((value) => `${one.format(value * 100)} %`);
export const km = or((value) => `${value < 1000 ? one.format(value) : whole.format(value)} km`);
export const minutes = or((value) => `${one.format(value)} min`);
/** Minutes; from 600 on in hours. */
export const hours = or((value) => (value < 600 ? minutes(value) : `${whole.format(typeof value === "string" ? wholeHours(value) : value / 60)} h`));
const wholeHours = (text) => (BigInt(text.split(".")[0]) + 30n) / 60n;

export const clock = or(hm);
export const seconds = or(hms);
/** The day; with its year where that is not the current one. */
export const day = or((time) => (isIn(yearOf, time) ? dayMonth : fullDay)(time));
export const date = or(fullDay);
/** Day and time; with the time zone where clocks show it twice. */
export const moment = or((time) => `${day(time)} ${clock(time)}${isRepeated(time) ? ` ${zoneAt(time)}` : ""}`);
/** The time in seconds; with the day where that is not the current one. */
export const instant = or((time) => (isToday(time) ? seconds(time) : `${day(time)} ${seconds(time)}`));

const isIn = (of, time) => of(time) === of(Date.now());
export const isToday = (time) => isIn(localDay, time);

/** A period as `13:55–14:00`, with the day if `withDay`; with the time zone also where clocks show a time twice. */
export function period(from, to, { withDay = false, withZone = false } = {}) {
  const [zoneBefore, zone] = [from, to].map(zoneAt);
  const isNamed = withZone || [from, to].some(isRepeated);
  const start = `${withDay ? `${day(from)} ` : ""}${clock(from)}${isNamed && zoneBefore !== zone ? ` ${zoneBefore}` : ""}`;
  return `${start}–${clock(to)}${isNamed ? ` ${zone}` : ""}`;
}

/** The days of a half-open range, such as `1 to 31 January 2021`. */
export const days = (from, to) => fromDayToDay(from, to - 1);

/** A range: its days if it has whole ones, else its times. */
export function rangeText(from, to) {
  if (to > from && [from, to].every((time) => localTime(time) % DAY === 0)) return days(from, to);
  return to - from >= DAY ? `${moment(from)} – ${moment(to)}` : period(from, to, { withDay: true });
}

/** Units of time: name, length in seconds, and the number of them from which on the next one is used. */
const AGES = [["s", 1, 100], ["min", 60, 90], ["h", 3600, 48], ["days", 86_400, 60], ["months", 2_629_800, 24], ["years", 31_557_600, Infinity]];

/** A length of time in milliseconds as text. */
export function lasting(ms) {
  const past = Math.max(0, ms) / 1000;
  const [unit, length] = AGES.find(([, each, most]) => past < each * most);
  return `${whole.format(past / length)} ${unit}`;
}

/** An age in milliseconds as text. */
export const ago = (ms) => `${lasting(ms)} ago`;

/**
 * The id of an H3 cell without the padding at its end; other ids do not change. The padding is three
 * bits for each resolution that is finer than the cell, and all of them are set: an f before is of the cell.
 */
export function shortId(id) {
  if (!/^8[0-9a-f]{14}$/.test(id)) return id;
  const padding = Math.floor((3 * (15 - parseInt(id[1], 16))) / 4);
  const end = id.length - padding;
  return /^f*$/.test(id.slice(end)) ? id.slice(0, end) : id;
}

/** The metrics of windows that pages offer: name and unit, sort key of the API, and format. */
export const METRICS = [
  { key: "trip_count", by: "trips", text: count },
  { key: "total_revenue", by: "revenue", text: money },
  { key: "total_distance", by: "distance", text: km },
  { key: "total_duration", by: "duration", text: hours },
  { key: "avg_revenue", by: "trips", text: money },
  { key: "avg_duration", by: "trips", text: minutes },
].map((metric) => ({ ...MEASURES[metric.key], ...metric }));
export const metricOf = (key) => METRICS.find((metric) => metric.key === key) ?? METRICS[0];

/**
 * The value of a metric of totals; null if none of the trips has the amount. Means are divided here, as
 * they can't be summed: by the number of trips that have the amount.
 */
export function valueOf(metric, totals) {
  if (!metric.of) return totals[metric.key];
  const trips = totals[metric.count];
  return trips ? totals[metric.of] / trips : null;
}

export const ENTITIES = [
  { name: "driver", title: "Driver", many: "drivers" },
  { name: "passenger", title: "Passenger", many: "passengers" },
  { name: "vehicle_type", title: "Vehicle type", many: "vehicle types" },
  { name: "h3", title: "Cell", many: "cells" },
];
