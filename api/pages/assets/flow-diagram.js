// A diagram of the flow: a box with numbers for each part, in the direction of the trips.

import { data, el, svg } from "./dom.js";
import { ago, count, decimal, instant, percent } from "./format.js";

/** The problems that mark each box, by their slugs. */
const PROBLEMS_OF = {
  log: ["lag", "partitions-unread", "gaps"],
  flow: ["silent-flow", "silent-process", "old-snapshot", "punctuations-refused", "old-watermark"],
  stores: ["store-down", "amount-too-large", "store-awaited", "silent-shards", "follower-behind"],
  late: ["many-late"],
  dead: ["many-dead"],
  audit: ["drift"],
};

/** Return the nodes of the diagram, from /status and /health (null until there is a response). */
export function flowDiagram(status, health) {
  const { processes, audit, problems } = status;
  const sum = (of) => processes.reduce((total, process) => total + of(process), 0);
  const main = processes.filter(({ flow }) => flow === "main");
  const outcomes = (name) => main.reduce((total, process) => total + process.counts[name], 0);
  const partitions = processes.flatMap((process) => process.partitions);
  const isMoving = sum(({ rates }) => rates.trips_per_s) > 0;
  const snapshots = processes.map(({ snapshot_at: at }) => at).filter(Boolean).sort();
  const box = boxMaker(problems);
  const share = (part) => (outcomes("read") ? percent(part / outcomes("read")) : "–");
  return [
    el("div", { class: "diagram" },
      box("log", "Log", [
        ["Topic", [...new Set(partitions.map(({ topic }) => topic))].join(", ") || "–"],
        ["Partitions", count(partitions.length)],
        ["Messages", count(partitions.reduce((total, { end }) => total + (end ?? 0), 0))],
        ["Lag", data(sum(({ lag }) => lag), count(sum(({ lag }) => lag)), { id: "lag" })],
      ]),
      arrow(isMoving),
      box("flow", "Flow", [
        ["Processes", count(processes.length)],
        ["Trips per second", decimal(sum(({ rates }) => rates.trips_per_s))],
        ["Windows per second", decimal(sum(({ rates }) => rates.windows_per_s))],
        ["Trips counted", data(outcomes("counted"), count(outcomes("counted")), { id: "counted" })],
        ["Last snapshot", snapshots.length ? ago(Date.now() - Date.parse(snapshots[0])) : "none yet"],
      ]),
      arrow(isMoving),
      box("stores", "Stores", [
        ["Redis", stateOf(health, "redis")],
        ["Postgres", stateOf(health, "postgres")],
        ...Object.entries(status.as_of).map(([entity, time]) => [`${entity.replace("_", " ")} as of`, instant(time)]),
      ]),
      arrow(isMoving),
      box("api", "API", [
        ["Store of this answer", status.store === "redis" ? "Redis" : "Postgres"],
        ["State", "running"],
        ["Live events", liveEvents(health)],
      ])),
    el("div", { class: "branch" },
      box("late", "Late trips", [
        ["trips_late", data(outcomes("late"), count(outcomes("late")), { id: "late" })], ["Share of messages", share(outcomes("late"))],
      ], ["/rejected?kind=late", "Show late trips"]),
      box("dead", "Dead letters", [
        ["trips_dlq", data(outcomes("dead"), count(outcomes("dead")), { id: "dead" })], ["Share of messages", share(outcomes("dead"))],
        ["Duplicates", count(outcomes("duplicates"))],
      ], ["/rejected", "Show dead letters"]),
      box("audit", "Audit", audit ? [
        ["Windows that differ", data(audit.drift, count(audit.drift), { id: "drift" })],
        ["Windows recounted", count(audit.checked)],
        ["Last round", audit.last_success ? ago(Date.now() - Date.parse(audit.last_success)) : "not yet"],
      ] : [["Running", "no"]])),
  ];
}

/** Return a function that makes boxes, perhaps with a link; one with a problem is marked as an error or a warning. */
function boxMaker(problems) {
  return (name, title, lines, link) => {
    const found = problems.filter(({ slug }) => PROBLEMS_OF[name]?.includes(slug));
    const hasError = found.some(({ severity }) => severity === "error");
    return el("section", { class: `box ${hasError ? "bad" : found.length ? "warn" : ""}`, id: `box-${name}`, "aria-label": title },
      el("h3", {}, title, found.length ? el("span", { class: "wrong" }, hasError ? "error" : "warning") : null),
      el("dl", {}, lines.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)])),
      link ? el("a", { href: link[0], "data-id": link[0] }, link[1]) : null);
  };
}

function stateOf(health, store) {
  const component = health?.components?.[store];
  if (!component) return "–";
  if (component.state === "down") return el("span", { class: "wrong", title: component.reason }, "down");
  return component.state === "ok" ? "running" : "not configured";
}

/** Live events come from Redis, so that they need its state, not the store of this answer. */
function liveEvents(health) {
  const state = health?.components?.redis?.state;
  return { ok: "on", down: "off: Redis is down", off: "off: Redis is not configured" }[state] ?? "–";
}

function arrow(isMoving) {
  return svg("svg", { class: "arrow", viewBox: "0 0 46 24", "aria-hidden": "true" },
    svg("path", { d: "M6 12h32", class: isMoving ? "flow" : "" }), svg("path", { d: "m32 6 7 6-7 6" }));
}
