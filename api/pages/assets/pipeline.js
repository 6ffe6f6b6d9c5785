// Pipeline: what flows where, how far it is, and what to do about what is wrong.

import { get } from "./api.js";
import { data, el, state, table } from "./dom.js";
import { ago, count, date, decimal, seconds } from "./format.js";
import { frame, onStatus } from "./frame.js";
import { picture } from "./picture.js";

const HEALTH_EVERY = 4000;
const BEHIND = 1000;

frame("Pipeline");
const view = { status: null, health: null };
const verdict = el("p", { class: "verdict", role: "status" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", {}, "Asking the API"));
const problems = el("ul", { class: "problems" });
const flow = el("div", {}, state("empty", "Asking the API"));
const partitions = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Partitions: table" });
const processes = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Processes: table" });
const panel = (title, note, node) => el("section", { class: "panel", "aria-label": title }, el("h2", {}, title), note ? el("p", { class: "note" }, note) : null, node);
document.getElementById("main").append(
  el("div", { class: "heading" }, el("h1", {}, "Pipeline"), verdict), problems,
  panel("The flow", null, flow),
  panel("Partitions", "The watermark is the event time up to which a partition's trips are taken to have arrived. The slowest one decides when windows close.", partitions),
  panel("Processes", null, processes));

function draw() {
  const { status } = view;
  if (status.error) {
    judge("bad", status.error.title);
    problems.replaceChildren(problem({ severity: "error", what: status.error.message || status.error.title, do: "See whether `just up`, or the API by itself, is running. This page asks again every two seconds." }));
    if (!status.processes) flow.replaceChildren(state("bad", "Nothing can be said of the flow"));
    return;
  }
  const wrong = status.problems;
  const errors = wrong.filter(({ severity }) => severity === "error").length;
  judge(errors ? "bad" : wrong.length ? "warn" : "good",
    !wrong.length ? "All is well" : `${count(wrong.length)} ${wrong.length === 1 ? "thing needs" : "things need"} attention`);
  problems.replaceChildren(...wrong.map(problem));
  flow.replaceChildren(...picture(status, view.health));
  drawPartitions(status.processes);
  drawProcesses(status.processes);
}

function judge(kind, text) {
  if (verdict.lastChild.textContent !== text) verdict.lastChild.textContent = text;
  verdict.className = `verdict ${kind}`;
}

function problem({ severity, what, do: remedy }) {
  return el("li", { class: `panel ${severity === "error" ? "bad" : "warn"}` },
    el("span", { class: "sign" }, severity === "error" ? "Wrong" : "Look"), el("strong", {}, what), el("span", {}, commands(remedy)));
}

/** Text with `commands` in it, as nodes. */
const commands = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));

function drawPartitions(all) {
  const rows = all.flatMap((process) => process.partitions.map((partition) => ({ ...partition, process: process.process })));
  const furthest = Math.max(...rows.map(({ watermark }) => (watermark ? Date.parse(watermark) : 0)));
  const columns = [{ name: "Topic and partition" }, { name: "Read by", text: true }, { name: "State", text: true }, { name: "Position" }, { name: "Log end" }, { name: "Lag" }, { name: "Watermark (UTC)" }, { name: "Behind the first" }];
  partitions.replaceChildren(rows.length ? table("Partitions", columns, rows.map((row) => [
    `${row.topic} ${row.partition}`, row.process, words(row.status), count(row.position), count(row.end),
    data(row.lag, count(row.lag), { class: row.lag > BEHIND ? "lag" : null }),
    row.watermark ? timeOf(row.watermark, furthest) : "has not spoken",
    row.watermark ? `${count((furthest - Date.parse(row.watermark)) / 1000)} s` : "–",
  ])) : state("empty", "No partition is read"));
}

const words = (text) => ({ caught_up: "caught up" })[text] ?? text;
const timeOf = (watermark, furthest) => (Date.now() - furthest > 86_400_000 ? `${date(watermark)} ${seconds(watermark)}` : seconds(watermark));

function drawProcesses(all) {
  const columns = [{ name: "Process" }, { name: "Flow", text: true }, { name: "Where", text: true }, { name: "Heard" }, { name: "Trips/s" }, { name: "Windows/s" }, { name: "Lag" }, { name: "Counted" }, { name: "Snapshot" }];
  processes.replaceChildren(all.length ? table("Processes", columns, all.map((process) => [
    process.process, process.flow, `${process.host}, ${process.pid}`, el("span", { class: process.age > 5 ? "wrong" : null }, `${decimal(process.age)} s ago`),
    decimal(process.rates.trips_per_s), decimal(process.rates.windows_per_s), count(process.lag), count(process.counts.counted),
    process.snapshot_at ? ago(Date.now() - Date.parse(process.snapshot_at)) : "none yet",
  ])) : state("bad", "No process has said anything for a minute"));
}

onStatus((status) => {
  view.status = status;
  draw();
});
(async function askHealth() {
  if (!document.hidden) {
    // A store that is down makes it 503, with the same components.
    view.health = await get("/health").catch((problem) => problem.members ?? null);
    if (view.status) draw();
  }
  setTimeout(askHealth, HEALTH_EVERY);
})();
