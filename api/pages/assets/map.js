// The map: a canvas with cells, which can be moved and zoomed, and whose cells can be selected.

import { cellAt, centreOf, isCell, metresPerUnit, outline, parentCell, resolution, resolutionFor } from "./cells.js";
import { colour, onTheme, prefersReducedMotion } from "./dom.js";
import { followPointers } from "./pointers.js";
import { drawTiles } from "./tiles.js";

const MIN_WIDTH = 15; // pixels of a cell; narrower cells are grouped
const OUTSIDE = 0.025; // share of trips beyond each edge of the first view, as a few cells may be far away
const HIGHLIGHT_MS = 1600;
const MARGIN = 700; // metres around the centres of cells

/** Draws cells in the colours of their classes over all known cells; calls back on hover, selection and zoom. */
export class CellMap {
  constructor(canvas, { onHover, onSelect, onLevel }) {
    Object.assign(this, { canvas, onHover, onLevel, tiles: null, selected: null });
    this.view = { x: 0.5, y: 0.5, scale: 512 };
    this.background = new Set();
    this.cells = new Map();
    this.highlights = new Map();
    this.finest = 9;
    this.level = null;
    this.isFitted = true;
    this.readColours();
    onTheme(() => { this.readColours(); this.draw(); });
    new ResizeObserver(() => this.resize()).observe(canvas);
    followPointers(canvas, {
      move: (dx, dy) => this.move(dx, dy),
      zoom: (factor, at) => this.zoom(factor, at),
      hover: (at) => onHover(at),
      select: (at) => onSelect(this.cellAt(at)),
      fit: () => this.fit(),
    });
  }

  readColours() {
    this.steps = [0, 1, 2, 3, 4, 5].map((step) => colour(`step-${step}`));
    this.inks = Object.fromEntries(["cell-line", "faint-cell", "ink", "muted", "ground", "accent"].map((name) => [name, colour(name)]));
  }

  /** Set all known cells, a Map of id to trips. */
  setBackground(trips) {
    const isFirst = !this.background.size;
    this.trips = trips;
    this.background = new Set([...trips.keys()].filter(isCell));
    this.finest = Math.max(0, ...[...this.background].map(resolution)) || 9;
    if (isFirst) this.fit(OUTSIDE);
    this.regroup();
  }

  /** Set the cells with trips in the period, a Map of id to the step of a colour; null for no amount. */
  setCells(cells) {
    this.cells = cells;
    this.levels = [...new Set([...cells.keys()].map(resolution))].sort((a, b) => b - a);
    this.draw();
  }

  select(id, centre = false) {
    this.selected = id;
    if (id && centre) {
      this.isFitted = false;
      [this.view.x, this.view.y] = centreOf(id);
    }
    this.draw();
  }

  /** Highlight cells that have just changed. */
  highlight(ids) {
    if (prefersReducedMotion()) return;
    const now = performance.now();
    for (const id of ids) this.highlights.set(id, now);
    this.draw();
  }

  /** Fit all cells into the view; `outside` is the share of trips that may be beyond each edge. */
  fit(outside = 0) {
    if (!this.background.size || !this.width) return;
    this.isFitted = outside > 0;
    const points = [...this.background].map((id) => [...centreOf(id), this.trips.get(id)]);
    const [[left, right], [top, bottom]] = [extent(points, 0, outside), extent(points, 1, outside)];
    const cell = MARGIN / metresPerUnit(top);
    const fill = 0.9;
    this.view.scale = Math.min((this.width * fill) / (right - left + cell), (this.height * fill) / (bottom - top + cell));
    Object.assign(this.view, { x: (left + right) / 2, y: (top + bottom) / 2 });
    this.regroup();
  }

  move(dx, dy) {
    this.isFitted = false;
    this.onHover(null);
    this.view.x -= dx / this.view.scale;
    this.view.y = Math.min(1, Math.max(0, this.view.y - dy / this.view.scale));
    this.draw();
  }

  zoom(factor, at = [this.width / 2, this.height / 2]) {
    this.isFitted = false;
    this.onHover(null);
    const [x, y] = this.toPlane(at);
    this.view.scale = Math.min(2 ** 28, Math.max(256, this.view.scale * factor));
    this.view.x = x - (at[0] - this.width / 2) / this.view.scale;
    this.view.y = y - (at[1] - this.height / 2) / this.view.scale;
    this.regroup();
  }

  /** Group cells for the zoom level; call back if the resolution changes. */
  regroup() {
    const level = resolutionFor((MIN_WIDTH * metresPerUnit(this.view.y)) / this.view.scale, this.finest);
    if (level !== this.level || this.shown !== this.background) {
      this.level = level;
      this.shown = this.background;
      this.groupedBackground = new Set([...this.background].map((id) => parentCell(id, level)));
      this.onLevel(level, this.finest);
    }
    this.draw();
  }

  toPlane([x, y]) {
    return [this.view.x + (x - this.width / 2) / this.view.scale, this.view.y + (y - this.height / 2) / this.view.scale];
  }

  cellAt(at) {
    return cellAt(...this.toPlane(at), this.cells, this.levels ?? []);
  }

  resize() {
    [this.width, this.height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: this.width * ratio, height: this.height * ratio });
    // Until the user moves it, the map shows all: its size changes when the legend appears.
    if (this.isFitted) this.fit(OUTSIDE);
    this.draw(true);
  }

  draw(now = false) {
    if (now) return this.paint();
    this.frame ??= requestAnimationFrame(() => this.paint());
  }

  paint() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    if (!this.width) return;
    const pen = this.canvas.getContext("2d");
    const ratio = devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    if (this.tiles) drawTiles(pen, this);
    this.paintBackground(pen);
    pen.lineWidth = 1;
    pen.strokeStyle = this.inks["cell-line"];
    for (const [id, step] of this.cells) {
      if (!this.trace(pen, id)) continue;
      pen.fillStyle = step === null ? this.inks["faint-cell"] : this.steps[step];
      pen.globalAlpha = this.tiles ? 0.75 : 1;
      pen.fill();
      pen.globalAlpha = 1;
      pen.stroke();
    }
    this.paintHighlights(pen);
    if (this.selected && this.trace(pen, this.selected)) {
      pen.lineWidth = 3;
      pen.strokeStyle = this.inks.ink;
      pen.stroke();
    }
    this.paintScaleBar(pen);
  }

  paintBackground(pen) {
    if (this.tiles) return;
    pen.fillStyle = this.inks["faint-cell"];
    pen.strokeStyle = this.inks.ground;
    pen.lineWidth = 1;
    for (const id of this.groupedBackground ?? []) {
      if (!this.trace(pen, id)) continue;
      pen.fill();
      pen.stroke();
    }
  }

  paintHighlights(pen) {
    const now = performance.now();
    for (const [id, since] of this.highlights) {
      const left = 1 - (now - since) / HIGHLIGHT_MS;
      if (left <= 0) this.highlights.delete(id);
      else if (this.trace(pen, id)) {
        pen.globalAlpha = left;
        pen.lineWidth = 1 + 3 * left;
        pen.strokeStyle = this.inks.ink;
        pen.stroke();
        pen.globalAlpha = 1;
      }
    }
    if (this.highlights.size) this.draw();
  }

  /** A scale bar with a round length. */
  paintScaleBar(pen) {
    if (!this.background.size && !this.tiles) return;
    const perMetre = this.view.scale / metresPerUnit(this.view.y);
    const maxLength = 110 / perMetre;
    const unit = 10 ** Math.floor(Math.log10(maxLength));
    const length = [5, 2, 1].map((times) => times * unit).find((metre) => metre <= maxLength);
    const text = length >= 1000 ? `${length / 1000} km` : `${length} m`;
    const [left, top] = [16, 22];
    Object.assign(pen, { strokeStyle: this.inks.muted, fillStyle: this.inks.muted, lineWidth: 1.5, font: "12px system-ui, sans-serif" });
    pen.beginPath();
    pen.moveTo(left, top - 4);
    pen.lineTo(left, top);
    pen.lineTo(left + length * perMetre, top);
    pen.lineTo(left + length * perMetre, top - 4);
    pen.stroke();
    pen.fillText(text, left + 5, top - 5);
  }

  /** Begin a path around a cell; return false if it is outside the view. */
  trace(pen, id) {
    const corners = outline(id);
    const { x, y, scale } = this.view;
    const [ox, oy] = [this.width / 2 - x * scale, this.height / 2 - y * scale];
    const [left, top] = [corners[0] * scale + ox, corners[1] * scale + oy];
    const reach = 4 * Math.abs(corners[0] - corners[6 % corners.length]) * scale + 4 * Math.abs(corners[1] - corners[7 % corners.length]) * scale;
    if (left + reach < 0 || top + reach < 0 || left - reach > this.width || top - reach > this.height) return false;
    pen.beginPath();
    pen.moveTo(left, top);
    for (let index = 2; index < corners.length; index += 2) pen.lineTo(corners[index] * scale + ox, corners[index + 1] * scale + oy);
    pen.closePath();
    return true;
  }
}

/** The bounds of the points on an axis, without the outer ones that have a share of the trips. */
function extent(points, axis, outside) {
  const sorted = [...points].sort((a, b) => a[axis] - b[axis]);
  const all = sorted.reduce((sum, point) => sum + point[2], 0);
  const edge = (list) => {
    let trips = 0;
    return list.find((point) => (trips += point[2]) > all * outside)[axis];
  };
  return [edge(sorted), edge(sorted.reverse())];
}
