// What the charts of the page Now show, from what it has been told.

import { kindColour, timeAxis, tooltip, valueAxis } from "./chart.js";
import { clock, compact, count, decimal, money, seconds, span } from "./format.js";

/** Trips a second of the last minutes. */
export function perSecond(pulse) {
  const series = pulse.series();
  const known = series.filter(([, rate]) => rate !== null);
  const last = known.at(-1)?.[1] ?? 0;
  return {
    summary: `${decimal(last)} trips a second at the end; highest ${decimal(Math.max(0, ...known.map(([, rate]) => rate)))}.`,
    columns: [{ name: "Time (UTC)" }, { name: "Trips a second" }],
    rows: () => known.toReversed().map(([time, rate]) => [seconds(time), decimal(rate)]),
    option: (theme) => ({
      legend: { show: false },
      grid: { left: 4, right: 8, top: 12, bottom: 4, containLabel: true },
      xAxis: timeAxis(theme, seconds, { min: series[0][0], max: series.at(-1)[0] }),
      yAxis: valueAxis(theme, decimal),
      tooltip: tooltip(theme, (time) => seconds(time), decimal, " trips/s"),
      series: [{
        name: "Trips a second", type: "bar", data: series, barCategoryGap: "12%", itemStyle: { color: theme.accent },
      }],
    }),
  };
}

/** Trips by window and vehicle type; the window that is open is paler. */
export function perWindow({ kinds, series, window, asOf }, times) {
  const starts = [];
  for (let start = times.first; start <= asOf; start += window) starts.push(start);
  const newest = Math.max(...kinds.flatMap((id) => [...series.get(id).keys()]), 0);
  if (newest > starts.at(-1)) starts.push(newest);
  const trips = (id, start) => series.get(id).get(start)?.trip_count ?? 0;
  const total = (start) => kinds.reduce((sum, id) => sum + trips(id, start), 0);
  const minutes = window / 60_000;
  return {
    note: `Windows of ${minutes} minutes, the last three hours of event time. Pale bars are still counting.`,
    summary: `${count(total(starts.at(-2) ?? starts[0]))} trips in the last window that is over.`,
    columns: [{ name: "Window (UTC)" }, ...kinds.map((name) => ({ name })), { name: "All" }],
    rows: () => starts.toReversed().map((start) => [span(start, start + window), ...kinds.map((id) => count(trips(id, start))), count(total(start))]),
    option: (theme) => ({
      xAxis: timeAxis(theme, clock),
      yAxis: valueAxis(theme, compact),
      tooltip: tooltip(theme, (start) => span(start, start + window), count, ""),
      series: kinds.map((id, index) => ({
        name: id, type: "bar", stack: "trips", barCategoryGap: "18%", itemStyle: { color: kindColour(theme, index) },
        data: starts.map((start) => ({ value: [start, trips(id, start)], itemStyle: { opacity: start + window > asOf ? 0.45 : 1 } })),
      })),
    }),
  };
}

/** Revenue of the last hour beside that of the hour before, by vehicle type. */
export function inHours({ hour }) {
  const { items } = hour.top;
  const before = new Map(hour.topBefore.items.map((item) => [item.id, item.total_revenue]));
  const shown = items.slice(0, 6);
  const old = shown.map((item) => before.get(item.id) ?? 0);
  return {
    note: "The last hour beside the hour before, in the currency of the trips.",
    summary: shown.map((item, index) => `${item.id}: ${money(item.total_revenue)} after ${money(old[index])}.`).join(" "),
    columns: [{ name: "Vehicle type" }, { name: "Last hour" }, { name: "Hour before" }],
    rows: () => shown.map((item, index) => [item.id, money(item.total_revenue), money(old[index])]),
    option: (theme) => ({
      xAxis: valueAxis(theme, compact),
      yAxis: { type: "category", inverse: true, data: shown.map(({ id }) => id), axisTick: { show: false }, axisLine: { lineStyle: { color: theme.line } }, axisLabel: { color: theme.ink, width: 92, overflow: "truncate" } },
      tooltip: { ...tooltip(theme, (name) => name, money, ""), axisPointer: { type: "shadow" } },
      series: [
        { name: "Last hour", type: "bar", data: shown.map((item) => item.total_revenue), itemStyle: { color: theme.accent } },
        { name: "Hour before", type: "bar", data: old, itemStyle: { color: theme["kind-3"], opacity: 0.55 } },
      ],
    }),
  };
}
