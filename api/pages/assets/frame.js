// What every page has: where one is, how fresh the numbers are, what is wrong, and the sign-in.

import { get, onTokenNeeded, pageSettings, post } from "./api.js";
import { el, svg } from "./dom.js";
import { ago, clock, date, seconds } from "./format.js";

const PAGES = [["/", "City"], ["/now", "Now"], ["/entity", "Entity"], ["/pipeline", "Pipeline"]];
const EVERY = 2000;
const REPLAY = 6 * 3600_000;
const SLOW = 150_000;

const listeners = new Set();
let latest = null;

/** Call back with every answer of /status; `error` stands instead while there is none. */
export function onStatus(listener) {
  listeners.add(listener);
  if (latest) listener(latest);
}

/** Event time's "now": the watermark that every entity has reached, in epoch ms, or null. */
export function eventTime(status) {
  const times = Object.values(status.as_of ?? {});
  return times.length && times.every(Boolean) ? Math.min(...times.map(Date.parse)) : null;
}

/** How far the newest trips are: the furthest watermark of a partition, in epoch ms, or null. */
export function furthestTime(status) {
  const time = eventTime(status);
  const partitions = (status.processes ?? []).flatMap((process) => process.partitions);
  return time && Math.max(time, ...partitions.map(({ watermark }) => Date.parse(watermark)).filter(Number.isFinite));
}

/** Draw the frame and keep it fresh. */
export function frame(title) {
  const count = el("span", { class: "count", hidden: true });
  const fresh = el("p", { class: "fresh", id: "fresh" });
  document.getElementById("top").append(
    el("a", { class: "skip", href: "#main" }, "Skip to the content"),
    el("a", { class: "brand", href: "/", "aria-label": "Mobility Hub" }, mark(), el("span", {}, "Mobility Hub")),
    el("nav", { class: "pages", "aria-label": "Pages" }, PAGES.map(([href, name]) =>
      el("a", { href, "aria-current": name === title ? "page" : null }, name, name === "Pipeline" ? count : null))),
    fresh,
    themeButton(),
  );
  document.getElementById("main").tabIndex = -1;
  onTokenNeeded(signIn);
  const moved = { asOf: null, at: Date.now() };
  const show = () => latest && freshness(fresh, latest, moved);
  onStatus((status) => {
    const wrong = status.problems?.length ?? 0;
    count.hidden = !wrong;
    count.dataset.worst = status.problems?.some(({ severity }) => severity === "error") ? "error" : "warning";
    count.textContent = wrong || "";
    count.setAttribute("aria-label", `${wrong} ${wrong === 1 ? "problem" : "problems"}`);
    show();
  });
  setInterval(show, 1000);
  poll();
}

async function poll() {
  if (!document.hidden || !latest) {
    try {
      const [status, settings] = await Promise.all([get("/status"), pageSettings()]);
      latest = { ...status, settings, asOf: eventTime(status), heard: Date.now() };
    } catch (error) {
      latest = { ...latest, error };
    }
    listeners.forEach((listener) => listener(latest));
  }
  setTimeout(poll, EVERY);
}

function freshness(node, { asOf = null, error, settings, heard }, moved) {
  const now = Date.now();
  if (asOf !== moved.asOf) Object.assign(moved, { asOf, at: now });
  const dot = el("span", { class: "dot", "aria-hidden": "true" });
  if (error) {
    node.dataset.state = "down";
    const since = heard ? `, last heard ${ago(now - heard)}` : "";
    node.replaceChildren(dot, el("strong", {}, error.title), `${error.status ? error.message : "asking again"}${since}`);
    return;
  }
  if (asOf === null) {
    node.dataset.state = "behind";
    node.replaceChildren(dot, el("strong", {}, "No watermark yet"), "the flow has not reported");
    return;
  }
  const behind = now - asOf;
  const replay = behind > REPLAY;
  const stands = now - moved.at > SLOW || (!replay && behind > SLOW + settings.window);
  node.dataset.state = stands ? "behind" : "live";
  const time = el("time", { dateTime: new Date(asOf).toISOString() }, replay ? `${date(asOf)} ${seconds(asOf)}` : seconds(asOf));
  const complete = Math.floor((asOf - settings.lateness) / settings.window) * settings.window;
  node.replaceChildren(dot,
    el("span", {}, "As of ", el("strong", {}, time), " UTC, ", replay ? `replay, moved ${ago(now - moved.at)}` : ago(behind)),
    el("span", {}, "complete until ", el("time", { dateTime: new Date(complete).toISOString() }, clock(complete))),
  );
}

function mark() {
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
  const wrong = el("p", { class: "down", role: "alert" });
  dialog = el("dialog", { "aria-labelledby": "sign-in" },
    el("h2", { id: "sign-in" }, "This system asks for a token"),
    el("p", { class: "note" }, "It is exchanged for a cookie that this browser keeps. Who runs the system gives you one."),
    el("form", {
      async onsubmit(event) {
        event.preventDefault();
        try {
          await post("/session", { token: token.value });
          location.reload();
        } catch (problem) {
          wrong.textContent = problem.message;
          token.select();
        }
      },
    }, el("label", { class: "control", for: "token" }, "Token", token), wrong, el("button", { class: "primary" }, "Sign in")));
  document.body.append(dialog);
  dialog.showModal();
}
