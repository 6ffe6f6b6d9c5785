// Which amounts the trips have. A price and a distance are optional: where no trip has one, pages do
// not show it; where a part of the trips has one, they say of how many trips a number is.

import { get } from "./api.js";
import { el } from "./dom.js";
import { count, METRICS } from "./format.js";
import { MEASURES } from "./measures.js";

const MAX_AGE = 10_000;
const NOUNS = { distance_count: "a distance", revenue_count: "a price" };

/** The number of trips in totals that have the amount of a measure. */
export const tripsWith = (name, totals) => totals[MEASURES[name].count];

/** False if there are trips, but none has the amount of a measure. Totals are null if they are not known. */
export const hasAmount = (name, totals) => !totals?.trip_count || tripsWith(name, totals) > 0;

/** The metrics of which trips have the amount. */
export const metricsIn = (totals) => METRICS.filter(({ key }) => hasAmount(key, totals));

/** Of how many of the trips a number is, as text; empty if it is of all. */
export function partOf(name, totals) {
  const [trips, all] = [tripsWith(name, totals), totals.trip_count];
  if (trips === all) return "";
  return trips ? `of ${count(trips)} of ${count(all)} trips` : `none of ${count(all)} trips has ${NOUNS[MEASURES[name].count]}`;
}

/** The text of `partOf` as an element; null if the number is of all trips. */
export function partNote(name, totals) {
  const text = partOf(name, totals);
  return text ? el("span", { class: "part" }, text) : null;
}

let latest = { at: -Infinity, totals: null };
/**
 * The totals of all trips, for `hasAmount`; null if they can't be had. As long as an amount is missing they are
 * requested again, at most every ten seconds: the next trip may have it.
 */
export async function allTrips() {
  const { at, totals } = latest;
  const isFinal = totals?.trip_count && metricsIn(totals).length === METRICS.length;
  if (isFinal || Date.now() - at < MAX_AGE) return totals;
  try {
    latest = { at: Date.now(), totals: (await get("/top/vehicle_type", { limit: 1 })).total };
  } catch (error) {
    // A token for other entities only will not be accepted later either.
    if (error.status === 403) latest = { at: Date.now(), totals };
  }
  return latest.totals;
}
