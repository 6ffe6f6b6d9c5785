// The flow as a picture: boxes with what they know, in the direction in which trips go.

import { data, el, svg } from "./dom.js";
import { ago, count, decimal, percent, seconds } from "./format.js";

/** Which problem belongs to which box. */
const BELONGS = {
  log: ["lag", "partitions-unread", "gaps"],
  flow: ["silent-flow", "silent-process", "old-snapshot", "punctuations-refused", "old-watermark"],
  stores: ["store-down", "silent-shards"],
  late: ["many-late"],
  dead: ["many-dead"],
  audit: ["drift"],
};

/** Return the nodes of the picture, from /status and /health (null until it was heard). */
export function picture(status, health) {
  const { processes, audit, problems } = status;
  const sum = (of) => processes.reduce((total, process) => total + of(process), 0);
  const main = processes.filter(({ flow }) => flow === "main");
  const outcomes = (name) => main.reduce((total, process) => total + process.counts[name], 0);
  const partitions = processes.flatMap((process) => process.partitions);
  const moving = sum(({ rates }) => rates.trips_per_s) > 0;
  const snapshots = processes.map(({ snapshot_at: at }) => at).filter(Boolean).sort();
  const box = boxed(problems);
  const share = (part) => (outcomes("read") ? percent(part / outcomes("read")) : "–");
  return [
    el("div", { class: "picture" },
      box("log", "Log", [
        ["Topic", [...new Set(partitions.map(({ topic }) => topic))].join(", ") || "–"],
        ["Partitions", count(partitions.length)],
        ["Messages", count(partitions.reduce((total, { end }) => total + (end ?? 0), 0))],
        ["Not read yet", data(sum(({ lag }) => lag), count(sum(({ lag }) => lag)), { id: "lag" })],
      ]),
      arrow(moving),
      box("flow", "Flow", [
        ["Processes", count(processes.length)],
        ["Trips a second", decimal(sum(({ rates }) => rates.trips_per_s))],
        ["Windows a second", decimal(sum(({ rates }) => rates.windows_per_s))],
        ["Trips counted", data(outcomes("counted"), count(outcomes("counted")), { id: "counted" })],
        ["Last snapshot", snapshots.length ? ago(Date.now() - Date.parse(snapshots[0])) : "none yet"],
      ]),
      arrow(moving),
      box("stores", "Stores", [
        ["Redis", stateOf(health, "redis")],
        ["Postgres", stateOf(health, "postgres")],
        ...Object.entries(status.as_of).map(([entity, time]) => [`${entity.replace("_", " ")} as of`, time ? seconds(time) : "–"]),
      ]),
      arrow(moving),
      box("api", "API", [
        ["This answer from", status.store === "redis" ? "Redis" : "Postgres"],
        ["Answers", "yes"],
        ["Live changes", status.store === "redis" ? "on" : "Redis is away"],
      ])),
    el("div", { class: "branch" },
      box("late", "Came late", [
        ["trips_late", data(outcomes("late"), count(outcomes("late")), { id: "late" })], ["Of all that was read", share(outcomes("late"))],
      ]),
      box("dead", "Were no trips", [
        ["trips_dlq", data(outcomes("dead"), count(outcomes("dead")), { id: "dead" })], ["Of all that was read", share(outcomes("dead"))],
        ["Repeats, counted once", count(outcomes("duplicates"))],
      ]),
      box("audit", "Audit", audit ? [
        ["Windows that differ", data(audit.drift, count(audit.drift), { id: "drift" })],
        ["Windows counted again", count(audit.checked)],
        ["Last time", audit.last_success ? ago(Date.now() - Date.parse(audit.last_success)) : "not yet"],
      ] : [["Running", "no"]])),
  ];
}

/** Return a maker of boxes that are red, or amber, where a problem belongs to them. */
function boxed(problems) {
  return (name, title, lines) => {
    const wrong = problems.filter(({ slug }) => BELONGS[name]?.includes(slug));
    const bad = wrong.some(({ severity }) => severity === "error");
    return el("section", { class: `box ${bad ? "bad" : wrong.length ? "warn" : ""}`, id: `box-${name}`, "aria-label": title },
      el("h3", {}, title, wrong.length ? el("span", { class: "wrong" }, bad ? "wrong" : "look") : null),
      el("dl", {}, lines.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)])));
  };
}

function stateOf(health, store) {
  const found = health?.components?.[store];
  if (!found) return "–";
  if (found.state === "down") return el("span", { class: "wrong", title: found.reason }, "down");
  return found.state === "ok" ? "answers" : "not used";
}

function arrow(moving) {
  return svg("svg", { class: "arrow", viewBox: "0 0 46 24", "aria-hidden": "true" },
    svg("path", { d: "M6 12h32", class: moving ? "flow" : "" }), svg("path", { d: "m32 6 7 6-7 6" }));
}
