// The amounts of a cell as text. One that none of its trips has is left out.

import { partOf } from "./amounts.js";
import { decimal, minutes, money, valueOf } from "./format.js";
import { MEASURES } from "./measures.js";

/** The revenue, such as `revenue 12.00`; empty if no trip has a price. */
export function revenueText(cell) {
  if (cell.total_revenue === null) return "";
  const part = partOf("total_revenue", cell);
  return `revenue ${money(cell.total_revenue)}${part ? ` (${part})` : ""}`;
}

/** The revenue and its mean; empty if no trip has a price. */
export function revenueAndMeanText(cell) {
  const mean = valueOf(MEASURES.avg_revenue, cell);
  return mean === null ? "" : `${revenueText(cell)}, ${money(mean)} per trip`;
}

/** The means of distance and duration, such as `4.2 km and 12.5 min per trip`. */
export function meansText(cell) {
  const [distance, duration] = [MEASURES.avg_distance, MEASURES.avg_duration].map((mean) => valueOf(mean, cell));
  return `${distance === null ? "" : `${decimal(distance)} km and `}${minutes(duration)} per trip`;
}
