// The map: a canvas with cells on a plain ground, that can be moved, zoomed and asked.

import { ancestor, fitting, isCell, metres, middle, outline, resolution, under } from "./cells.js";
import { calm, colour, onTheme } from "./dom.js";
import { followPointers } from "./pointers.js";
import { drawTiles } from "./tiles.js";

const ACROSS = 15; // pixels that a cell must be wide at least, or it is grouped
const APART = 0.025; // a place far outside must not make the city small at first sight
const FADE = 1600;
const MARGIN = 700; // metres around the middles of cells

/** Draws {ground: Set of ids, cells: Map of id to step}; calls back for hovering, picking, zooming. */
export class CellMap {
  constructor(canvas, { onHover, onPick, onLevel }) {
    Object.assign(this, { canvas, onHover, onLevel, tiles: null, selected: null });
    this.view = { x: 0.5, y: 0.5, scale: 512 };
    this.ground = new Set();
    this.cells = new Map();
    this.pulses = new Map();
    this.finest = 9;
    this.level = null;
    this.readColours();
    onTheme(() => { this.readColours(); this.draw(); });
    new ResizeObserver(() => this.resize()).observe(canvas);
    followPointers(canvas, {
      move: (dx, dy) => this.move(dx, dy),
      zoom: (factor, at) => this.zoom(factor, at),
      hover: (at) => onHover(at && this.cellAt(at), at),
      pick: (at) => onPick(this.cellAt(at)),
      fit: () => this.fit(),
    });
  }

  readColours() {
    this.steps = [0, 1, 2, 3, 4, 5].map((step) => colour(`step-${step}`));
    this.inks = Object.fromEntries(["cell-line", "faint-cell", "ink", "muted", "ground", "accent"].map((name) => [name, colour(name)]));
  }

  /** The ground: every cell that may show something, a Map of id to trips. */
  setGround(trips) {
    const first = !this.ground.size;
    this.trips = trips;
    this.ground = new Set([...trips.keys()].filter(isCell));
    this.finest = Math.max(0, ...[...this.ground].map(resolution)) || 9;
    if (first) this.fit(APART);
    this.settle();
  }

  setCells(cells) {
    this.cells = cells;
    this.levels = [...new Set([...cells.keys()].map(resolution))].sort((a, b) => b - a);
    this.draw();
  }

  select(id, show = false) {
    this.selected = id;
    if (id && show) [this.view.x, this.view.y] = middle(id);
    this.draw();
  }

  /** Light up cells that have just changed. */
  pulse(ids) {
    if (calm()) return;
    const now = performance.now();
    for (const id of ids) this.pulses.set(id, now);
    this.draw();
  }

  /** Show all cells, or those in the middle: `apart` is the share of trips beyond each edge. */
  fit(apart = 0) {
    if (!this.ground.size || !this.width) return;
    const points = [...this.ground].map((id) => [...middle(id), this.trips.get(id)]);
    const [[left, right], [top, bottom]] = [extent(points, 0, apart), extent(points, 1, apart)];
    const cell = MARGIN / metres(top);
    const room = 0.9;
    this.view.scale = Math.min((this.width * room) / (right - left + cell), (this.height * room) / (bottom - top + cell));
    Object.assign(this.view, { x: (left + right) / 2, y: (top + bottom) / 2 });
    this.settle();
  }

  move(dx, dy) {
    this.view.x -= dx / this.view.scale;
    this.view.y = Math.min(1, Math.max(0, this.view.y - dy / this.view.scale));
    this.draw();
  }

  zoom(factor, at = [this.width / 2, this.height / 2]) {
    const [x, y] = this.toPlane(at);
    this.view.scale = Math.min(2 ** 28, Math.max(256, this.view.scale * factor));
    this.view.x = x - (at[0] - this.width / 2) / this.view.scale;
    this.view.y = y - (at[1] - this.height / 2) / this.view.scale;
    this.settle();
  }

  /** Group cells as coarsely as the zoom asks for; tell when that changes. */
  settle() {
    const level = fitting((ACROSS * metres(this.view.y)) / this.view.scale, this.finest);
    if (level !== this.level || this.shown !== this.ground) {
      this.level = level;
      this.shown = this.ground;
      this.shownGround = new Set([...this.ground].map((id) => ancestor(id, level)));
      this.onLevel(level, this.finest);
    }
    this.draw();
  }

  toPlane([x, y]) {
    return [this.view.x + (x - this.width / 2) / this.view.scale, this.view.y + (y - this.height / 2) / this.view.scale];
  }

  cellAt(at) {
    return under(...this.toPlane(at), this.cells, this.levels ?? []);
  }

  resize() {
    const first = !this.width;
    [this.width, this.height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: this.width * ratio, height: this.height * ratio });
    if (first) this.fit(APART);
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
    this.paintGround(pen);
    pen.lineWidth = 1;
    pen.strokeStyle = this.inks["cell-line"];
    for (const [id, step] of this.cells) {
      if (!this.trace(pen, id)) continue;
      pen.fillStyle = this.steps[step];
      pen.globalAlpha = this.tiles ? 0.75 : 1;
      pen.fill();
      pen.globalAlpha = 1;
      pen.stroke();
    }
    this.paintPulses(pen);
    if (this.selected && this.trace(pen, this.selected)) {
      pen.lineWidth = 3;
      pen.strokeStyle = this.inks.ink;
      pen.stroke();
    }
    this.paintRuler(pen);
  }

  paintGround(pen) {
    if (this.tiles) return;
    pen.fillStyle = this.inks["faint-cell"];
    pen.strokeStyle = this.inks.ground;
    pen.lineWidth = 1;
    for (const id of this.shownGround ?? []) {
      if (!this.trace(pen, id)) continue;
      pen.fill();
      pen.stroke();
    }
  }

  paintPulses(pen) {
    const now = performance.now();
    for (const [id, since] of this.pulses) {
      const left = 1 - (now - since) / FADE;
      if (left <= 0) this.pulses.delete(id);
      else if (this.trace(pen, id)) {
        pen.globalAlpha = left;
        pen.lineWidth = 1 + 3 * left;
        pen.strokeStyle = this.inks.ink;
        pen.stroke();
        pen.globalAlpha = 1;
      }
    }
    if (this.pulses.size) this.draw();
  }

  /** A bar of a round length, so that one knows how far is far. */
  paintRuler(pen) {
    const perMetre = this.view.scale / metres(this.view.y);
    const wish = 110 / perMetre;
    const unit = 10 ** Math.floor(Math.log10(wish));
    const length = [5, 2, 1].map((times) => times * unit).find((metre) => metre <= wish);
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

  /** Begin a path around a cell; false where it is out of sight. */
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

/** Where the points lie on an axis, without the outer ones that have a share of the trips. */
function extent(points, axis, apart) {
  const sorted = [...points].sort((a, b) => a[axis] - b[axis]);
  const all = sorted.reduce((sum, point) => sum + point[2], 0);
  const edge = (list) => {
    let trips = 0;
    return list.find((point) => (trips += point[2]) > all * apart)[axis];
  };
  return [edge(sorted), edge(sorted.reverse())];
}
