// The charts of the overview, from its data.

import { kindColour, plotted, timeAxis, tooltip, valueAxis } from "./chart.js";
import { clock, compact, count, day, decimal, money, period, seconds } from "./format.js";
import { DAY } from "./granularities.js";
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

/**
 * Trips by bucket and vehicle type; buckets that have not ended at `asOf` are paler. `starts` are those of
 * the buckets, which have the length `step`, `to` is the end of the last one, and `series` has the trips of each type by start.
 */
export function tripsByType({ kinds, series, starts, to, name, step, asOf }) {
  const ends = new Map(starts.map((start, index) => [start, starts[index + 1] ?? to]));
  const trips = (id, start) => series.get(id).get(start) ?? 0;
  const total = (start) => kinds.reduce((sum, id) => sum + trips(id, start), 0);
  const hasEnded = (start) => ends.get(start) <= asOf;
  const lastEnded = starts.findLast(hasEnded) ?? starts[0];
  const long = to - starts[0] > 2 * DAY;
  const title = (start) => (step >= DAY ? day(start) : period(start, ends.get(start), { withDay: long }));
  const isOpen = starts.some((start) => !hasEnded(start) && total(start));
  return {
    note: `Buckets of ${name}.${isOpen ? " Pale bars are windows that have not ended." : ""}`,
    summary: `${count(total(lastEnded))} trips in the last bucket that has ended.`,
    columns: [{ name: `Bucket (${timeZone()})` }, ...kinds.map((name) => ({ name })), { name: "All" }],
    rows: () => starts.toReversed().map((start) => [title(start), ...kinds.map((id) => count(trips(id, start))), count(total(start))]),
    option: (theme) => ({
      xAxis: timeAxis(theme, long ? day : clock, { from: starts[0], to: starts.at(-1) }),
      yAxis: valueAxis(theme, compact),
      tooltip: tooltip(theme, title, count, ""),
      series: kinds.map((id, index) => ({
        name: id, type: "bar", stack: "trips", barCategoryGap: "18%", barMaxWidth: 60, itemStyle: { color: kindColour(theme, index) },
        data: starts.map((start) => ({ value: [start, trips(id, start)], itemStyle: { opacity: hasEnded(start) ? 1 : 0.45 } })),
      })),
    }),
  };
}

/** Revenue by vehicle type, beside that of the range before; types without a price in either have no bars. */
export function revenueByType({ top, topBefore }) {
  const before = new Map((topBefore?.items ?? []).map((item) => [item.id, item.total_revenue]));
  const old = ({ id }) => (before.has(id) ? before.get(id) : 0);
  const shown = top.items.filter((item) => item.total_revenue !== null || old(item)).slice(0, 6);
  const bars = [
    { name: "This range", value: (item) => item.total_revenue, style: (theme) => ({ color: theme.accent }) },
    ...(topBefore ? [{ name: "Range before", value: old, style: (theme) => ({ color: theme["kind-3"], opacity: 0.55 }) }] : []),
  ];
  return {
    note: `${topBefore ? "This range and the one before, in" : "In"} the currency of the trips.`,
    summary: shown.map((item) => `${item.id}: ${money(item.total_revenue)}${topBefore ? `, in the range before ${money(old(item))}` : ""}.`).join(" "),
    columns: [{ name: "Vehicle type" }, ...bars.map(({ name }) => ({ name }))],
    rows: () => shown.map((item) => [item.id, ...bars.map(({ value }) => money(value(item)))]),
    option: (theme) => ({
      xAxis: valueAxis(theme, compact),
      yAxis: { type: "category", inverse: true, data: shown.map(({ id }) => id), axisTick: { show: false }, axisLine: { lineStyle: { color: theme.line } }, axisLabel: { color: theme.ink, width: 92, overflow: "truncate" } },
      tooltip: { ...tooltip(theme, (name) => name, money, ""), axisPointer: { type: "shadow" } },
      series: bars.map(({ name, value, style }) => ({ name, type: "bar", data: shown.map((item) => plotted(value(item))), itemStyle: style(theme) })),
    }),
  };
}
