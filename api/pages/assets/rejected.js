// Rejected: dead letters and late trips with their reasons and bytes, and the commands that correct them.

import { query, setQuery } from "./address.js";
import { get, pageSettings, urlOf } from "./api.js";
import { data, el, keepFocus, notice, withCode } from "./dom.js";
import { count, instant } from "./format.js";
import { frame } from "./frame.js";
import { zoneAt } from "./time-zone.js";

const KINDS = {
  dead: {
    title: "Dead letters", path: "/rejected/dead-letters", many: "dead letters",
    about: "Messages that are no valid trips. They count nowhere until they are corrected.",
    remedy: "Correct them", none: "Every message that was read so far is a valid trip.",
  },
  late: {
    title: "Late trips", path: "/rejected/late-trips", many: "late trips",
    about: "Trips that came when their window accepted none any more. They count nowhere until a backfill counts them.",
    remedy: "Count them", none: "Every trip came while its window accepted trips.",
  },
};
const COPIED = 1500;

frame("Rejected");
const view = { kind: "dead", reason: null, items: [], page: null, request: null };
const kinds = el("nav", { class: "choice", "aria-label": "Kinds of rejected messages" });
const about = el("p", { class: "note" });
const reasons = el("section", { class: "panel", "aria-label": "Reasons", hidden: true });
const commands = el("section", { class: "panel", "aria-label": "Commands", hidden: true });
const heading = el("h2", {});
const extent = el("p", { class: "note", role: "status" });
const list = el("div", {});
const older = el("button", { type: "button", hidden: true, onclick: () => load(view.page.next) }, "Older messages");
const again = el("button", { type: "button", onclick: () => open() }, "Read again");
document.getElementById("main").append(
  el("div", { class: "heading" }, el("h1", {}, "Rejected messages"), about), kinds, reasons, commands,
  el("section", { class: "panel", "aria-label": "Messages" },
    el("div", { class: "heading" }, heading, extent, again), list, older));

/** A link to this page with other parameters, which is followed without loading the page again. */
function choice(id, name, number, changes, isChosen) {
  return el("a", {
    class: "button", href: urlOf("/rejected", { kind: view.kind === "late" ? "late" : null, ...changes }),
    "aria-current": isChosen ? "true" : null, "data-id": id,
    onclick(event) {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      setQuery(changes, "pushState");
      open();
    },
  }, el("span", {}, name), number === null ? null : data(number, count(number)));
}

addEventListener("popstate", () => open());

function open() {
  const given = query();
  view.kind = given.get("kind") === "late" ? "late" : "dead";
  view.reason = view.kind === "dead" ? given.get("reason") : null;
  Object.assign(view, { items: [], page: null });
  const { title } = KINDS[view.kind];
  document.title = `${title} · Mobility Hub`;
  about.textContent = KINDS[view.kind].about;
  heading.textContent = view.reason === null ? title : `${title}: ${view.reason}`;
  keepFocus(kinds, () => kinds.replaceChildren(
    choice("dead", "Dead letters", null, { kind: null, reason: null }, view.kind === "dead"),
    choice("late", "Late trips", null, { kind: "late", reason: null }, view.kind === "late")));
  extent.textContent = "";
  list.replaceChildren(notice("empty", "Reading the topic"));
  load(null);
}

async function load(cursor) {
  view.request?.abort();
  const request = view.request = new AbortController();
  older.hidden = true;
  try {
    const { path } = KINDS[view.kind];
    const found = await Promise.all([get(path, { reason: view.reason, cursor }, request), pageSettings()]);
    if (view.request === request) show(found[0], cursor === null);
  } catch (problem) {
    if (problem.name !== "AbortError") fail(problem, cursor);
  }
}

function show(page, isFirst) {
  const before = view.items.length;
  view.page = page;
  view.items.push(...page.items);
  if (isFirst) {
    showReasons(page);
    showCommands(page.commands);
  }
  extent.textContent = extentOf(page, isFirst);
  older.hidden = page.next === null;
  if (!view.items.length) {
    list.replaceChildren(nothing(page));
    return;
  }
  if (!before) list.replaceChildren(el("ol", { class: "messages" }));
  list.firstChild.append(...page.items.map(message));
  // The keyboard goes on with what is new, as the button may be gone.
  if (before) list.firstChild.children[before]?.focus();
}

function fail(problem, cursor) {
  older.hidden = cursor === null;
  extent.textContent = cursor === null ? "" : problem.message;
  if (cursor !== null) return;
  reasons.hidden = commands.hidden = true;
  const title = { "kafka-unavailable": "Kafka could not be read", "needs-kafka": "This API does not read Kafka", "out-of-scope": "This token does not give access" }[problem.slug];
  list.replaceChildren(notice("bad", title ?? problem.title, problem.message));
}

/** What the messages are out of. */
function extentOf(page, isFirst) {
  const { many } = KINDS[view.kind];
  if (!page.exists || (page.complete && !page.read)) return "";
  if (isFirst && page.complete) return `${count(view.items.length)} of ${count(page.read)}, the newest first`;
  return `${count(view.items.length)} shown, the newest first. ${isFirst ? "The newest" : "Another"} ${count(page.read)} ${many} were read`;
}

function nothing(page) {
  const { none, many } = KINDS[view.kind];
  if (!page.exists) return notice("empty", `There is no topic ${page.topic}`, "The flow has not written to it yet, or this API has another MOBILITY_TOPIC_PREFIX than the flow.");
  if (page.next !== null) return notice("empty", `None among the newest ${count(page.read)}`, "There may be some among the older messages.");
  if (view.reason !== null) return notice("empty", "None with this reason", `Retention may have deleted them. Other ${many} are listed under All.`);
  return notice("empty", `No ${many}`, none);
}

function showReasons({ reasons: found, read, complete }) {
  reasons.hidden = !Object.keys(found).length && view.reason === null;
  const all = Object.entries(found);
  if (view.reason !== null && !(view.reason in found)) all.push([view.reason, 0]);
  keepFocus(reasons, () => reasons.replaceChildren(
    el("h2", {}, "Reasons"),
    el("p", { class: "note" }, complete ? "Counts are of all dead letters that the topic has." : `Counts are of the newest ${count(read)} dead letters.`),
    el("div", { class: "choice" },
      choice("", "All", read, { reason: null }, view.reason === null),
      all.map(([reason, number]) => choice(reason, reason, number, { reason }, view.reason === reason)))));
}

function showCommands(found) {
  commands.hidden = !found.length;
  commands.replaceChildren(el("h2", {}, KINDS[view.kind].remedy),
    el("ul", { class: "commands" }, found.map(({ command, does }) => el("li", {}, commandLine(command), el("p", { class: "note" }, withCode(does))))));
}

function commandLine(command) {
  const copy = el("button", {
    type: "button", class: "copy", "aria-label": `Copy ${command}`,
    async onclick() {
      await navigator.clipboard.writeText(command);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, COPIED);
    },
  }, "Copy");
  // Browsers have no clipboard for pages that come over plain HTTP from another machine.
  return el("div", { class: "command" }, el("code", {}, command), navigator.clipboard ? copy : null);
}

function message(item) {
  return el("li", { tabIndex: -1 },
    el("p", { class: "facts" },
      item.reason === null ? null : el("strong", { class: "reason" }, item.reason),
      el("span", { class: "mono" }, `${item.topic} ${item.partition}:${item.offset}`),
      el("time", { dateTime: item.time }, `written ${instant(item.time)} ${zoneAt(item.time)}`),
      item.replayed === null ? null : el("span", { class: "replayed" }, `replayed: ${item.replayed}`)),
    item.detail === null ? null : el("p", { class: "detail" }, item.detail),
    el("dl", { class: "parts" }, part("Key", item.key, item.key_size, item.key_shown), part("Value", item.value, item.value_size, item.value_shown)),
    item.command === null ? null : commandLine(item.command));
}

/** A part of a message; its unprintable bytes are escaped by the API. */
function part(name, text, size, shown) {
  return [
    el("dt", {}, name, el("span", { class: "note" }, text === null ? "none" : `${count(size)} ${size === 1 ? "byte" : "bytes"}`)),
    el("dd", {}, text ? el("code", { class: "bytes" }, text) : null,
      shown < size ? el("span", { class: "note" }, `The first ${count(shown)} bytes.`) : null),
  ];
}

open();
