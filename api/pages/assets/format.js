// Formats of numbers and times. Times are in UTC, as in the API.

import { MEASURES } from "./measures.js";

const LOCALE = "en-GB";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const two = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumSignificantDigits: 3 });
const utc = (options) => new Intl.DateTimeFormat(LOCALE, { timeZone: "UTC", hourCycle: "h23", ...options });
const hm = utc({ hour: "2-digit", minute: "2-digit" });
const hms = utc({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayMonth = utc({ day: "numeric", month: "short" });
const fullDay = utc({ day: "numeric", month: "short", year: "numeric" });

const NONE = "–";
const or = (format) => (value) => (value === null || value === undefined ? NONE : format(value));

export const count = or((value) => whole.format(value));
export const decimal = or((value) => one.format(value));
export const money = or((value) => two.format(value));
export const compact = or((value) => short.format(value));
export const percent = or((value) => `${one.format(value * 100)} %`);
export const km = or((value) => `${value < 1000 ? one.format(value) : whole.format(value)} km`);
export const minutes = or((value) => `${one.format(value)} min`);
/** Minutes; from 600 on in hours. */
export const hours = or((value) => (value < 600 ? minutes(value) : `${whole.format(value / 60)} h`));

export const clock = or((time) => hm.format(new Date(time)));
export const seconds = or((time) => hms.format(new Date(time)));
export const day = or((time) => dayMonth.format(new Date(time)));
export const date = or((time) => fullDay.format(new Date(time)));
export const moment = or((time) => `${day(time)} ${clock(time)}`);

/** A period as `13:55–14:00`, with the day if `withDay`. */
export const period = (from, to, withDay = false) =>
  `${withDay ? `${day(from)} ` : ""}${clock(from)}–${clock(to)}`;

/** An age in milliseconds as text. */
export function ago(ms) {
  const past = Math.max(0, ms) / 1000;
  if (past < 100) return `${Math.round(past)} s ago`;
  if (past < 5400) return `${Math.round(past / 60)} min ago`;
  if (past < 172800) return `${Math.round(past / 3600)} h ago`;
  return `${Math.round(past / 86400)} days ago`;
}

/** The id of an H3 cell without the padding at its end; other ids do not change. */
export const shortId = (id) => (/^8[0-9a-f]{14}$/.test(id) ? id.replace(/f+$/, "") : id);

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

/** The value of a metric of totals; means are divided here, as they can't be summed. */
export function valueOf(metric, totals) {
  if (!metric.of) return totals[metric.key];
  return totals.trip_count ? totals[metric.of] / totals.trip_count : 0;
}

export const ENTITIES = [
  { name: "driver", title: "Driver", many: "drivers" },
  { name: "passenger", title: "Passenger", many: "passengers" },
  { name: "vehicle_type", title: "Vehicle type", many: "vehicle types" },
  { name: "h3", title: "Cell", many: "cells" },
];
