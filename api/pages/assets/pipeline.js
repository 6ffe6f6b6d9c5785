// Pipeline: the parts of the flow, its partitions and processes, and problems with their remedies.

import { get } from "./api.js";
import { data, el, keepFocus, notice, table, withCode } from "./dom.js";
import { ago, count, decimal, instant, lasting } from "./format.js";
import { frame, onStatus } from "./frame.js";
import { flowDiagram } from "./flow-diagram.js";
import { timeZone } from "./time-zone.js";

const HEALTH_INTERVAL = 4000;
const HIGH_LAG = 1000;

frame("Pipeline");
const view = { status: null, health: null };
const verdict = el("p", { class: "verdict", role: "status" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", {}, "Loading"));
const problems = el("ul", { class: "problems" });
const flow = el("div", {}, notice("empty", "Loading"));
const partitions = el("div", { class: "scroll records", tabIndex: 0, role: "region", "aria-label": "Partitions: table" });
const processes = el("div", { class: "scroll records", tabIndex: 0, role: "region", "aria-label": "Processes: table" });
const panel = (title, note, node) => el("section", { class: "panel", "aria-label": title }, el("h2", {}, title), note ? el("p", { class: "note" }, note) : null, node);
document.getElementById("main").append(
  el("div", { class: "heading" }, el("h1", {}, "Pipeline"), verdict), problems,
  panel("The flow", null, flow),
  panel("Partitions", "The watermark is the event time up to which all trips of a partition are expected to have arrived. The lowest watermark of the partitions that are not idle decides when windows close.", partitions),
  panel("Processes", null, processes));

function draw() {
  const { status } = view;
  if (status.error) {
    showVerdict("bad", status.error.title);
    problems.replaceChildren(problem({ severity: "error", what: status.error.message || status.error.title, do: "Check that `just up` or the API is running. This page retries every two seconds." }));
    if (!status.processes) flow.replaceChildren(notice("bad", "The state of the flow is not available"));
    return;
  }
  const found = status.problems;
  const errors = found.filter(({ severity }) => severity === "error").length;
  showVerdict(errors ? "bad" : found.length ? "warn" : "good",
    !found.length ? "No problems found" : `${count(found.length)} ${found.length === 1 ? "problem" : "problems"}`);
  problems.replaceChildren(...found.map(problem));
  keepFocus(flow, () => flow.replaceChildren(...flowDiagram(status, view.health)));
  drawPartitions(status.processes);
  drawProcesses(status.processes);
}

function showVerdict(kind, text) {
  if (verdict.lastChild.textContent !== text) verdict.lastChild.textContent = text;
  verdict.className = `verdict ${kind}`;
}

function problem({ severity, what, do: remedy }) {
  return el("li", { class: `panel ${severity === "error" ? "bad" : "warn"}` },
    el("span", { class: "sign" }, severity === "error" ? "Error" : "Warning"), el("strong", {}, what), el("span", {}, withCode(remedy)));
}

function drawPartitions(all) {
  const rows = all.flatMap((process) => process.partitions.map((partition) => ({ ...partition, process: process.process })));
  const newest = Math.max(...rows.map(({ watermark }) => (watermark ? Date.parse(watermark) : 0)));
  const columns = [{ name: "Topic and partition" }, { name: "Read by", text: true }, { name: "State", text: true }, { name: "Position" }, { name: "Log end" }, { name: "Lag" }, { name: `Watermark (${timeZone()})` }, { name: "Behind the newest partition" }];
  partitions.replaceChildren(rows.length ? table("Partitions", columns, rows.map((row) => [
    `${row.topic} ${row.partition}`, row.process, statusText(row.status), count(row.position), count(row.end),
    data(row.lag, count(row.lag), { class: row.lag > HIGH_LAG ? "lag" : null }),
    row.watermark ? instant(row.watermark) : "no watermark yet",
    row.watermark ? lasting(newest - Date.parse(row.watermark)) : "–",
  ])) : notice("empty", "No partition is being read"));
}

const statusText = (text) => ({ caught_up: "caught up" })[text] ?? text;

function drawProcesses(all) {
  const columns = [{ name: "Process" }, { name: "Flow", text: true }, { name: "Host, PID", text: true }, { name: "Last report" }, { name: "Trips/s" }, { name: "Windows/s" }, { name: "Lag" }, { name: "Counted" }, { name: "Snapshot" }];
  processes.replaceChildren(all.length ? table("Processes", columns, all.map((process) => [
    process.process, process.flow, `${process.host}, ${process.pid}`, el("span", { class: process.age > 5 ? "wrong" : null }, `${decimal(process.age)} s ago`),
    decimal(process.rates.trips_per_s), decimal(process.rates.windows_per_s), count(process.lag), count(process.counts.counted),
    process.snapshot_at ? ago(Date.now() - Date.parse(process.snapshot_at)) : "none yet",
  ])) : notice("bad", "No process has reported for a minute"));
}

onStatus((status) => {
  view.status = status;
  draw();
});
(async function loadHealth() {
  if (!document.hidden) {
    // If a store is down the status is 503, and the problem has the same components.
    view.health = await get("/health").catch((problem) => problem.members ?? null);
    if (view.status) draw();
  }
  setTimeout(loadHealth, HEALTH_INTERVAL);
})();
