// H3 cells in the plane of the map, and grouped where they would be too small to see.

const { cellToBoundary, cellToParent, getHexagonEdgeLengthAvg, getResolution, isValidCell, latLngToCell } = window.h3;

export const isCell = (id) => isValidCell(id);
export const resolution = (id) => getResolution(id);

/** Web Mercator: the world is the square from 0 to 1. */
function project(lat, lng) {
  const sine = Math.sin((Math.max(-85, Math.min(85, lat)) * Math.PI) / 180);
  return [lng / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
}

function unproject(x, y) {
  return [(Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI, (x - 0.5) * 360];
}

/** Metres that a unit of the plane is long at a height of the map. */
export const metres = (y) => 40_075_017 * Math.cos((unproject(0.5, y)[0] * Math.PI) / 180);

const outlines = new Map();
/** The corners of a cell in the plane, as [x, y, x, y, …]. */
export function outline(id) {
  let found = outlines.get(id);
  if (!found) {
    found = new Float64Array(cellToBoundary(id).flatMap(([lat, lng]) => project(lat, lng)));
    for (let index = 2; index < found.length; index += 2) {
      // Across the antimeridian a cell goes on beyond the edge of the plane.
      if (found[index] - found[0] > 0.5) found[index] -= 1;
      if (found[index] - found[0] < -0.5) found[index] += 1;
    }
    outlines.set(id, found);
  }
  return found;
}

/** The middle of a cell in the plane. */
export function middle(id) {
  const corners = outline(id);
  let x = 0, y = 0;
  for (let index = 0; index < corners.length; index += 2) {
    x += corners[index];
    y += corners[index + 1];
  }
  return [(2 * x) / corners.length, (2 * y) / corners.length];
}

/** The finest resolution, up to `finest`, whose cells are at least `wanted` metres across. */
export function fitting(wanted, finest) {
  let found = finest;
  while (found > 0 && 2 * getHexagonEdgeLengthAvg(found, "m") < wanted) found -= 1;
  return found;
}

export const ancestor = (id, level) => (getResolution(id) > level ? cellToParent(id, level) : id);

/** The cell among `ids` (a Map or Set) that is under a point of the plane. */
export function under(x, y, ids, levels) {
  const [lat, lng] = unproject(x, y);
  for (const level of levels) {
    const id = latLngToCell(lat, lng, level);
    if (ids.has(id)) return id;
  }
  return null;
}

const AMOUNTS = ["trip_count", "total_duration", "total_distance", "total_revenue"];

/** Totals by cell, grouped to a resolution: sums of sums; `cells` says of how many. */
export function grouped(items, level) {
  const groups = new Map();
  for (const item of items) {
    const id = ancestor(item.id, level);
    const group = groups.get(id);
    if (!group) groups.set(id, { id, cells: 1, ...Object.fromEntries(AMOUNTS.map((name) => [name, item[name]])) });
    else {
      for (const name of AMOUNTS) group[name] += item[name];
      group.cells += 1;
    }
  }
  return groups;
}
