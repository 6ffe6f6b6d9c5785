// The legend of the map, and the tooltip of the cell under the pointer.

import { meansText, revenueAndMeanText } from "./cell-text.js";
import { el } from "./dom.js";
import { count, shortId } from "./format.js";

const plain = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

/** The colours of the map with the bounds of their classes. */
export class Legend {
  constructor() {
    this.node = el("section", { class: "legend", "aria-label": "Legend", hidden: true });
  }

  show(metric, limits, { level, finest, empty }) {
    this.node.hidden = empty;
    const steps = limits.length ? [...limits.keys(), limits.length] : [0];
    this.node.replaceChildren(
      el("h2", {}, metric.name, " ", el("span", { class: "unit" }, `(${metric.unit})`)),
      el("ol", {}, steps.map((index) => el("li", {}, swatch(index, limits), label(metric, limits, index))),
        el("li", {}, el("span", { class: "swatch fill-none" }), "none")),
      el("p", {}, level < finest ? "Cells are grouped; zoom in to see each cell." : "Each hexagon is one cell."),
    );
  }
}

function swatch(index, limits) {
  const step = limits.length ? Math.round((index * 5) / limits.length) : 3;
  return el("span", { class: `swatch fill-${step}` });
}

function label(metric, limits, index) {
  const text = (value) => plain.format(value);
  if (!limits.length) return "any";
  if (index === 0) return `under ${text(limits[0])}`;
  if (index === limits.length) return `${text(limits.at(-1))} and more`;
  const [low, high] = [limits[index - 1], limits[index]];
  if (metric.key !== "trip_count") return `${text(low)}–${text(high)}`;
  return high - low > 1 ? `${text(low)}–${text(high - 1)}` : text(low);
}

/** A tooltip beside the pointer. */
export function tooltip() {
  const node = el("div", { class: "over tip", hidden: true, "aria-hidden": "true" });
  return {
    node,
    show(cell, at, canvas) {
      node.hidden = !cell;
      if (!cell) return;
      node.replaceChildren(...lines(cell));
      const right = at[0] + 16 + 230 > canvas.clientWidth;
      node.style.left = `${right ? Math.max(4, at[0] - 16 - node.offsetWidth) : at[0] + 16}px`;
      node.style.top = `${Math.min(at[1] + 12, canvas.clientHeight - node.offsetHeight - 4)}px`;
    },
  };
}

function lines(cell) {
  const trips = cell.trip_count;
  const revenue = revenueAndMeanText(cell);
  return [
    el("strong", {}, `${count(trips)} ${trips === 1 ? "trip" : "trips"}`),
    ...(revenue ? [el("div", {}, revenue)] : []),
    el("div", {}, meansText(cell)),
    el("div", { class: "note" }, cell.cells > 1 ? `${count(cell.cells)} cells in ${shortId(cell.id)}` : el("span", { class: "mono" }, shortId(cell.id))),
  ];
}
