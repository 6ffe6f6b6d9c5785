// H3 cells: their outlines on the map, and groups of cells that would be too small to see.

import { SUMS } from "./measures.js";

const { cellToBoundary, cellToParent, getHexagonEdgeLengthAvg, getResolution, isValidCell, latLngToCell } = window.h3;

export const isCell = (id) => isValidCell(id);
export const resolution = (id) => getResolution(id);

/** Web Mercator: the world is a square of size 1. */
function project(lat, lng) {
  const sine = Math.sin((Math.max(-85, Math.min(85, lat)) * Math.PI) / 180);
  return [lng / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}

function unproject(x, y) {
  return [(Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI, (x - 0.5) * 360];
}

/** The length in metres of a unit of the plane, at a y of the plane. */
export const metresPerUnit = (y) => 40_075_017 * Math.cos((unproject(0.5, y)[0] * Math.PI) / 180);

const outlines = new Map();
/** The corners of a cell in the plane, as [x, y, x, y, …]. */
export function outline(id) {
  let found = outlines.get(id);
  if (!found) {
    found = new Float64Array(cellToBoundary(id).flatMap(([lat, lng]) => project(lat, lng)));
    for (let index = 2; index < found.length; index += 2) {
      // A cell across the antimeridian continues beyond the edge of the plane.
      if (found[index] - found[0] > 0.5) found[index] -= 1;
      if (found[index] - found[0] < -0.5) found[index] += 1;
    }
    outlines.set(id, found);
  }
  return found;
}

/** The centre of a cell in the plane. */
export function centreOf(id) {
  const corners = outline(id);
  let x = 0, y = 0;
  for (let index = 0; index < corners.length; index += 2) {
    x += corners[index];
    y += corners[index + 1];
  }
  return [(2 * x) / corners.length, (2 * y) / corners.length];
}

/** The finest resolution, up to `finest`, whose cells are at least `minWidth` metres wide. */
export function resolutionFor(minWidth, finest) {
  let found = finest;
  while (found > 0 && 2 * getHexagonEdgeLengthAvg(found, "m") < minWidth) found -= 1;
  return found;
}

export const parentCell = (id, level) => (getResolution(id) > level ? cellToParent(id, level) : id);

/** The cell among `ids` (a Map or Set) at a point of the plane. */
export function cellAt(x, y, ids, levels) {
  const [lat, lng] = unproject(x, y);
  for (const level of levels) {
    const id = latLngToCell(lat, lng, level);
    if (ids.has(id)) return id;
  }
  return null;
}

/** The sum of two amounts; null is an amount that no trip has. */
const add = (a, b) => (a === null || b === null ? a ?? b : a + b);

/** Totals of cells summed by their parent cells at a resolution; `cells` is the number of cells. */
export function groupCells(items, level) {
  const groups = new Map();
  for (const item of items) {
    const id = parentCell(item.id, level);
    const group = groups.get(id);
    if (!group) groups.set(id, { id, cells: 1, ...Object.fromEntries(SUMS.map((name) => [name, item[name]])) });
    else {
      for (const name of SUMS) group[name] = add(group[name], item[name]);
      group.cells += 1;
    }
  }
  return groups;
}
