// The frame of every page: navigation, freshness, number of problems, and the sign-in dialog.

import { get, onUnauthorized, pageSettings, post } from "./api.js";
import { el, svg } from "./dom.js";
import { ago, clock, date, days, seconds } from "./format.js";
import { timeZone, zoneAt } from "./time-zone.js";

const PAGES = [["/", "City"], ["/overview", "Overview"], ["/entity", "Entity"], ["/pipeline", "Pipeline"], ["/rejected", "Rejected"]];
const POLL_INTERVAL = 2000;
const REPLAY_LAG = 6 * 3600_000;
const STALE = 150_000;

const listeners = new Set();
let latest = null;

/** Call the listener with every response of /status; it has `error` after a failed request. */
export function onStatus(listener) {
  listeners.add(listener);
  if (latest) listener(latest);
}

/** The lowest watermark of the entities, in epoch ms; null if one is not known. */
export function minWatermark(status) {
  const times = Object.values(status.as_of ?? {});
  return times.length && times.every(Boolean) ? Math.min(...times.map(Date.parse)) : null;
}

/** The highest event time of a partition, in epoch ms; null while an entity has no watermark. */
export function newestEventTime(status) {
  const time = minWatermark(status);
  const watermarks = (status.processes ?? []).flatMap((process) => process.partitions)
    .map(({ watermark }) => Date.parse(watermark)).filter(Number.isFinite);
  return time && Math.max(time, ...watermarks) + status.settings.outOfOrderness;
}

/** Whether every trip is read and the newest is from long ago, as at the end of a file: nothing will change. */
export const hasEnded = (status) => status.extent?.ended ?? false;

/** Whether the data has ended and all of it is complete: there is nothing to warn of. */
export const isFinal = (status) => hasEnded(status) && status.extent.complete;

/** The end of the complete windows, in epoch ms. */
export const completeUntil = ({ asOf, settings }) => Math.floor((asOf - settings.lateness) / settings.window) * settings.window;

/** Draw the frame and keep it up to date. */
export function frame(title) {
  const count = el("span", { class: "count", hidden: true });
  const fresh = el("p", { class: "fresh", id: "fresh" });
  document.getElementById("top").append(
    el("a", { class: "skip", href: "#main" }, "Skip to content"),
    el("a", { class: "brand", href: "/", "aria-label": "Mobility Hub" }, logo(), el("span", {}, "Mobility Hub")),
    el("nav", { class: "pages", "aria-label": "Pages" }, PAGES.map(([href, name]) =>
      el("a", { href, "aria-current": name === title ? "page" : null }, name, name === "Pipeline" ? count : null))),
    fresh,
    themeButton(),
  );
  document.getElementById("main").tabIndex = -1;
  onUnauthorized(signIn);
  const lastChange = { asOf: null, at: Date.now(), seen: false };
  const show = () => latest && showFreshness(fresh, latest, lastChange);
  onStatus((status) => {
    const problems = status.problems?.length ?? 0;
    count.hidden = !problems;
    count.dataset.worst = status.problems?.some(({ severity }) => severity === "error") ? "error" : "warning";
    count.textContent = problems || "";
    count.setAttribute("aria-label", `${problems} ${problems === 1 ? "problem" : "problems"}`);
    show();
  });
  setInterval(show, 1000);
  poll();
}

async function poll() {
  if (!document.hidden || !latest) {
    try {
      const [status, settings] = await Promise.all([get("/status"), pageSettings()]);
      latest = { ...status, settings, asOf: minWatermark(status), receivedAt: Date.now() };
    } catch (error) {
      latest = { ...latest, error };
    }
    listeners.forEach((listener) => listener(latest));
  }
  setTimeout(poll, POLL_INTERVAL);
}

function showFreshness(node, status, lastChange) {
  const { asOf = null, error, settings, receivedAt } = status;
  const now = Date.now();
  // The first watermark of a page is no change: it may have been the same for days.
  if (asOf !== lastChange.asOf) Object.assign(lastChange, { asOf, at: now, seen: lastChange.asOf !== null });
  const dot = el("span", { class: "dot", "aria-hidden": "true" });
  if (error) {
    node.dataset.state = "down";
    const since = receivedAt ? `, last response ${ago(now - receivedAt)}` : "";
    node.replaceChildren(dot, el("strong", {}, error.title), `${error.status ? error.message : "retrying"}${since}`);
    return;
  }
  if (asOf === null) {
    node.dataset.state = "behind";
    node.replaceChildren(dot, el("strong", {}, "No watermark yet"), "the flow has not reported one");
    return;
  }
  if (isFinal(status)) {
    node.dataset.state = "live";
    const [from, to] = [status.extent.from, status.extent.to].map(Date.parse);
    node.replaceChildren(dot, el("span", {}, "Data of ", el("strong", {}, days(from, to)), ", final"), el("span", { class: "zone" }, timeZone()));
    return;
  }
  const behind = now - asOf;
  const isReplay = behind > REPLAY_LAG;
  const isEnded = hasEnded(status);
  const isStale = (!isEnded && now - lastChange.at > STALE) || (!isReplay && behind > STALE + settings.window);
  node.dataset.state = isStale ? "behind" : "live";
  const time = el("time", { dateTime: new Date(asOf).toISOString() }, isReplay ? `${date(asOf)} ${seconds(asOf)}` : seconds(asOf));
  const complete = completeUntil(status);
  const replay = isEnded ? "replay, all trips are read" : lastChange.seen ? `replay, last change ${ago(now - lastChange.at)}` : "replay";
  node.replaceChildren(dot,
    el("span", {}, "As of ", el("strong", {}, time), ` ${zoneAt(asOf)}, `, isReplay ? replay : ago(behind)),
    el("span", {}, "complete until ", el("time", { dateTime: new Date(complete).toISOString() }, clock(complete))),
  );
}

function logo() {
  return svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("path", { "fill-rule": "evenodd", d: "M12 1 21.5 6.5v11L12 23 2.5 17.5v-11zM12 6.6 7.3 9.3v5.4L12 17.4l4.7-2.7V9.3z" }));
}

function themeButton() {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  return el("button", {
    class: "icon", type: "button", title: "Light or dark", "aria-label": "Switch between light and dark",
    onclick() {
      root.dataset.theme = isDark() ? "light" : "dark";
      localStorage.setItem("theme", root.dataset.theme);
    },
  }, svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("circle", { cx: 12, cy: 12, r: 8.5 }), svg("path", { d: "M12 3.5a8.5 8.5 0 0 1 0 17z", fill: "currentColor" })));
}

let dialog = null;
function signIn() {
  if (dialog) return;
  const token = el("input", { type: "password", name: "token", autocomplete: "current-password", required: true, id: "token" });
  const fault = el("p", { class: "down", role: "alert" });
  dialog = el("dialog", { "aria-labelledby": "sign-in" },
    el("h2", { id: "sign-in" }, "Sign in with a token"),
    el("p", { class: "note" }, "The operator of this system creates it. The browser stores a session cookie, not the token."),
    el("form", {
      async onsubmit(event) {
        event.preventDefault();
        try {
          await post("/session", { token: token.value });
          location.reload();
        } catch (problem) {
          fault.textContent = problem.message;
          token.select();
        }
      },
    }, el("label", { class: "control", for: "token" }, "Token", token), fault, el("button", { class: "primary" }, "Sign in")));
  document.body.append(dialog);
  dialog.showModal();
}
