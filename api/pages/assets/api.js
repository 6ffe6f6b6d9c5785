// Questions to the API. Errors are problem details; a missing token asks for one.

/** An answer that is none: what happened, in the API's own words where there are any. */
class Problem extends Error {
  constructor(status, title, detail, slug = "", members = {}) {
    super(detail || title);
    Object.assign(this, { status, title, detail, slug, members });
  }
}

let ask = null;
/** Say what to do when the API wants a token. */
export const onTokenNeeded = (action) => { ask = action; };

/** GET an answer as JSON; raises Problem, or AbortError where `signal` says so. */
export async function get(path, params = {}, { signal } = {}) {
  return (await fetched(address(path, params), { signal })).json();
}

/** GET an answer in another format, as a Blob. */
export async function download(path, params, type) {
  return (await fetched(address(path, params), { headers: { Accept: type } })).blob();
}

/** POST JSON. */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await fetched(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

async function fetched(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The API does not answer", "It is asked again every few seconds.");
  }
  if (response.ok) return response;
  const found = await response.json().catch(() => ({}));
  const slug = String(found.type ?? "").split("/").at(-1);
  const problem = new Problem(response.status, found.title ?? `Status ${response.status}`, found.detail ?? "", slug, found);
  if (response.status === 401 && options.method !== "POST") ask?.();
  throw problem;
}

/** The path with its question; what is null or empty is left out. */
export function address(path, params = {}) {
  const asked = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return asked.length ? `${path}?${new URLSearchParams(asked)}` : path;
}

export const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

let settings = null;
/** What the pages must know of the settings; asked once. */
export function pageSettings() {
  settings ??= get("/page-settings").then((found) => ({
    ...found, window: found.window * 1000, lateness: found.allowed_lateness * 1000,
  }));
  settings.catch(() => { settings = null; });
  return settings;
}

/**
 * Follow an entity's changes, or an id's: `onWindows(list)` as they come; `onGap()` when some may
 * have been missed and the page must ask again, as whenever the stream begins, or can't at first;
 * `onState("live" | "away")`. Returns a function that ends it.
 */
export function live(entity, id, { onWindows, onGap = () => {}, onState = () => {} }) {
  const source = new EventSource(address(`/live/${entity}`, { id }));
  let tried = false;
  source.addEventListener("open", () => {
    tried = true;
    onState("live");
    onGap();
  });
  source.addEventListener("windows", (event) => onWindows(JSON.parse(event.data).windows));
  source.addEventListener("gap", () => onGap());
  source.addEventListener("away", () => onState("away"));
  source.addEventListener("back", () => onState("live"));
  source.addEventListener("error", () => {
    if (!tried) onGap();
    tried = true;
    onState("away");
  });
  const end = () => source.close();
  addEventListener("pagehide", end);
  return () => {
    removeEventListener("pagehide", end);
    end();
  };
}

/** Run `work` now and then at most once in `ms`, the last call never lost, never two at a time. */
export function paced(work, ms) {
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
