// The charts of the page Now, from its data.

import { kindColour, timeAxis, tooltip, valueAxis } from "./chart.js";
import { clock, compact, count, decimal, money, period, seconds } from "./format.js";
import { timeZone } from "./time-zone.js";

/** Trips per second of the last minutes. */
export function tripsPerSecond(tripRate) {
  const series = tripRate.series();
  const known = series.filter(([, rate]) => rate !== null);
  const last = known.at(-1)?.[1] ?? 0;
  const [from, to] = [series[0][0], series.at(-1)[0]];
  return {
    summary: `${decimal(last)} trips per second at the end; highest ${decimal(Math.max(0, ...known.map(([, rate]) => rate)))}.`,
    columns: [{ name: `Time (${timeZone()})` }, { name: "Trips per second" }],
    rows: () => known.toReversed().map(([time, rate]) => [seconds(time), decimal(rate)]),
    option: (theme) => ({
      legend: { show: false },
      grid: { left: 4, right: 8, top: 12, bottom: 4, containLabel: true },
      xAxis: timeAxis(theme, seconds, { from, to }, { min: from, max: to }),
      yAxis: valueAxis(theme, decimal),
      tooltip: tooltip(theme, (time) => seconds(time), decimal, " trips/s"),
      series: [{
        name: "Trips per second", type: "bar", data: series, barCategoryGap: "12%", itemStyle: { color: theme.accent },
      }],
    }),
  };
}

/** Trips by window and vehicle type; windows that have not ended are paler. */
export function tripsPerWindow({ kinds, series, window, asOf }, times) {
  const starts = [];
  for (let start = times.first; start <= asOf; start += window) starts.push(start);
  const newest = Math.max(...kinds.flatMap((id) => [...series.get(id).keys()]), 0);
  if (newest > starts.at(-1)) starts.push(newest);
  const trips = (id, start) => series.get(id).get(start)?.trip_count ?? 0;
  const total = (start) => kinds.reduce((sum, id) => sum + trips(id, start), 0);
  const minutes = window / 60_000;
  const lastEnded = starts.findLast((start) => start + window <= asOf) ?? starts[0];
  return {
    note: `Windows of ${minutes} minutes, the last three hours of event time.${starts.some((start) => start + window > asOf && total(start)) ? " Pale bars are windows that have not ended." : ""}`,
    summary: `${count(total(lastEnded))} trips in the last window that has ended.`,
    columns: [{ name: `Window (${timeZone()})` }, ...kinds.map((name) => ({ name })), { name: "All" }],
    rows: () => starts.toReversed().map((start) => [period(start, start + window), ...kinds.map((id) => count(trips(id, start))), count(total(start))]),
    option: (theme) => ({
      xAxis: timeAxis(theme, clock, { from: starts[0], to: starts.at(-1) }),
      yAxis: valueAxis(theme, compact),
      tooltip: tooltip(theme, (start) => period(start, start + window), count, ""),
      series: kinds.map((id, index) => ({
        name: id, type: "bar", stack: "trips", barCategoryGap: "18%", itemStyle: { color: kindColour(theme, index) },
        data: starts.map((start) => ({ value: [start, trips(id, start)], itemStyle: { opacity: start + window > asOf ? 0.45 : 1 } })),
      })),
    }),
  };
}

/** Revenue of the last hour and of the hour before, by vehicle type; types without a price in either have no bars. */
export function revenuePerHour({ hour }) {
  const before = new Map(hour.topBefore.items.map((item) => [item.id, item.total_revenue]));
  const old = ({ id }) => (before.has(id) ? before.get(id) : 0);
  const shown = hour.top.items.filter((item) => item.total_revenue !== null || old(item)).slice(0, 6);
  return {
    note: "The last hour and the hour before, in the currency of the trips.",
    summary: shown.map((item) => `${item.id}: ${money(item.total_revenue)}, in the hour before ${money(old(item))}.`).join(" "),
    columns: [{ name: "Vehicle type" }, { name: "Last hour" }, { name: "Hour before" }],
    rows: () => shown.map((item) => [item.id, money(item.total_revenue), money(old(item))]),
    option: (theme) => ({
      xAxis: valueAxis(theme, compact),
      yAxis: { type: "category", inverse: true, data: shown.map(({ id }) => id), axisTick: { show: false }, axisLine: { lineStyle: { color: theme.line } }, axisLabel: { color: theme.ink, width: 92, overflow: "truncate" } },
      tooltip: { ...tooltip(theme, (name) => name, money, ""), axisPointer: { type: "shadow" } },
      series: [
        { name: "Last hour", type: "bar", data: shown.map((item) => item.total_revenue), itemStyle: { color: theme.accent } },
        { name: "Hour before", type: "bar", data: shown.map(old), itemStyle: { color: theme["kind-3"], opacity: 0.55 } },
      ],
    }),
  };
}
