// The time zone of the pages, that of MOBILITY_TIMEZONE: local times, days and buckets of it.

const LOCALE = "en-GB";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MAX_TICKS = 8;
const TICKS = [MINUTE / 2, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 5 * DAY, 10 * DAY, 30 * DAY, 91 * DAY, 365 * DAY, 1826 * DAY];

let zone = "UTC";

/** Set the time zone by its name in the IANA database. */
export function setTimeZone(name) {
  try {
    new Intl.DateTimeFormat(LOCALE, { timeZone: name });
    zone = name;
  } catch {
    // The browser has an older database: times stay in UTC, and are said to be.
    zone = "UTC";
  }
}

/** The name of the time zone in the IANA database. */
export const timeZone = () => zone;

/** Return a function that gives a formatter of the time zone; it is made anew only for another zone. */
function formatter(options) {
  let made = null, of = null;
  return () => {
    if (of !== zone) [made, of] = [new Intl.DateTimeFormat(LOCALE, { timeZone: zone, hourCycle: "h23", ...options }), zone];
    return made;
  };
}

/** Return a function that formats a time in the time zone. */
export function inZone(options) {
  const get = formatter(options);
  return (time) => get().format(new Date(time));
}

/** Return a function that formats the time from one time to another, such as `1 to 31 January 2021`. */
export function rangeInZone(options) {
  const get = formatter(options);
  const word = ({ source, value }) => (source === "shared" ? value.replace(/\s*–\s*/, " to ") : value);
  return (from, to) => get().formatRangeToParts(new Date(from), new Date(to)).map(word).join("");
}

const named = formatter({ hour: "2-digit", timeZoneName: "short" });
/** The short name that the time zone has at a time, such as CET and CEST. */
export const zoneAt = (time) => named().formatToParts(new Date(time)).find(({ type }) => type === "timeZoneName").value;

const numbers = formatter({ year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
/** What clocks show at a time: the epoch ms at which clocks of UTC show it. */
export function localTime(time) {
  const at = new Date(time);
  const part = Object.fromEntries(numbers().formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second, at.getUTCMilliseconds());
}

/** The local day of a time: its start as a local time. */
export const localDay = (time) => Math.floor(localTime(time) / DAY) * DAY;

const offsetAt = (time) => localTime(time) - time;

/**
 * The time, in epoch ms, at which clocks show a local time. As in the API: the first one if they show it
 * twice; if they skip it, it is read by the offset before.
 */
export function timeOf(local) {
  for (const near of [local - DAY, local + DAY]) {
    const time = local - offsetAt(near);
    if (localTime(time) === local) return time;
  }
  return local - offsetAt(local - DAY);
}

/** Whether clocks show the same at another time, as where they are set back. */
export function isRepeated(time) {
  const at = Number(new Date(time));
  const local = localTime(at);
  return [at - 3 * HOUR, at + 3 * HOUR].map(offsetAt).some((offset) => local - offset !== at && localTime(local - offset) === local);
}

/**
 * The starts of the buckets between two times, as the API has them: each local day is divided from its
 * first moment on, and the first bucket starts at `from`.
 */
export function bucketStarts(from, to, step) {
  const starts = [from];
  for (let day = localDay(from), first = timeOf(day); first < to; day += DAY) {
    const next = timeOf(day + DAY);
    const end = step < DAY ? Math.min(next, to) : first + 1;
    for (let start = first; start < end; start += step) if (start > starts.at(-1)) starts.push(start);
    first = next;
  }
  return starts;
}

/** The start of the bucket that has a time. */
export function bucketStart(time, step) {
  const midnight = timeOf(localDay(time));
  return step < DAY ? midnight + Math.floor((time - midnight) / step) * step : midnight;
}

/** The shortest round step between two times that needs no more ticks than this. */
export const tickStep = (from, to, most) => TICKS.find((each) => (to - from) / each <= most) ?? TICKS.at(-1);

/** Times between two others at which clocks show round times, for an axis: multiples of `step`. */
export function roundTimes(from, to, step = tickStep(from, to, MAX_TICKS)) {
  const found = [];
  for (let local = Math.ceil(localTime(from) / step) * step, time = timeOf(local); time <= to; local += step, time = timeOf(local)) {
    if (time >= from && time !== found.at(-1)) found.push(time);
  }
  return found;
}
