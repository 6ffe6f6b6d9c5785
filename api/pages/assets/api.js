// Requests to the API. Errors are problem details; after a 401 the page shows the sign-in dialog.

import { parse } from "./digits.js";
import { setTimeZone } from "./time-zone.js";

/** An error of a request; the texts are the problem details of the API if there are any. */
class Problem extends Error {
  constructor(status, title, detail, slug = "", members = {}) {
    super(detail || title);
    Object.assign(this, { status, title, detail, slug, members });
  }
}

let handleUnauthorized = null;
/** Set the handler of responses with status 401. */
export const onUnauthorized = (handler) => { handleUnauthorized = handler; };

/** GET a response as JSON; throws Problem, or AbortError if `signal` is aborted. */
export async function get(path, params = {}, { signal } = {}) {
  return parse(await (await request(urlOf(path, params), { signal })).text());
}

/** GET a response in another format, as a Blob. */
export async function download(path, params, type) {
  return (await request(urlOf(path, params), { headers: { Accept: type } })).blob();
}

/** POST JSON. */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The API does not answer", "Retrying every few seconds.");
  }
  if (response.ok) return response;
  const found = await response.json().catch(() => ({}));
  const slug = String(found.type ?? "").split("/").at(-1);
  const problem = new Problem(response.status, found.title ?? `Status ${response.status}`, found.detail ?? "", slug, found);
  if (response.status === 401 && options.method !== "POST") handleUnauthorized?.();
  throw problem;
}

/** The path with query parameters; those that are null or empty are left out. */
export function urlOf(path, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

export const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

let settings = null;
/** The settings that pages need, requested once; then times are in the time zone of these settings. */
export function pageSettings() {
  settings ??= get("/page-settings").then((found) => {
    setTimeZone(found.timezone);
    return {
      ...found, window: found.window * 1000, lateness: found.allowed_lateness * 1000,
      outOfOrderness: found.out_of_orderness * 1000,
    };
  });
  settings.catch(() => { settings = null; });
  return settings;
}

/**
 * Subscribe to the changes of an entity, or of an id. `onWindows(list)` gets the windows that changed;
 * `onGap()` is called when changes may have been missed and the page must query again: after a gap,
 * whenever the stream begins, and if it can't begin at first; `onState("live" | "away")`. Returns a
 * function that ends the subscription.
 */
export function subscribe(entity, id, { onWindows, onGap = () => {}, onState = () => {} }) {
  const source = new EventSource(urlOf(`/live/${entity}`, { id }));
  let hasStarted = false;
  source.addEventListener("open", () => {
    hasStarted = true;
    onState("live");
    onGap();
  });
  source.addEventListener("windows", (event) => onWindows(JSON.parse(event.data).windows));
  source.addEventListener("gap", () => onGap());
  source.addEventListener("away", () => onState("away"));
  source.addEventListener("back", () => onState("live"));
  source.addEventListener("error", () => {
    if (!hasStarted) onGap();
    hasStarted = true;
    onState("away");
  });
  const end = () => source.close();
  addEventListener("pagehide", end);
  return () => {
    removeEventListener("pagehide", end);
    end();
  };
}

/** Return a function that runs `work` at most once in `ms`, and again after a call in between; never two at a time. */
export function throttle(work, ms) {
  let waiting = false, running = false, again = false;
  return function call() {
    if (running || waiting) { again = true; return; }
    running = true;
    again = false;
    Promise.resolve(work()).finally(() => {
      running = false;
      waiting = true;
      setTimeout(() => {
        waiting = false;
        if (again) call();
      }, ms);
    });
  };
}
