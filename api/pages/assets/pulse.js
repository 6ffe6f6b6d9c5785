// How many trips are counted a second, from what changes: windows carry their whole count.

const SLOT = 2000;
const KEPT = 90; // slots: three minutes
const RECENT = 10_000;

/** Turns windows as they change into trips a second of the wall clock. */
export class Pulse {
  constructor() {
    this.counts = new Map(); // "id window" to trips
    this.slots = new Map(); // start of a slot to trips
    this.newest = new Map(); // id to its newest window
    this.since = Date.now();
  }

  /** Say what is known already: it is not news. */
  know(id, start, trips) {
    this.counts.set(key(id, start), trips);
    this.newest.set(id, Math.max(this.newest.get(id) ?? 0, Date.parse(start)));
  }

  /** Take windows that changed at `now`. */
  take(windows, now = Date.now()) {
    const slot = Math.floor(now / SLOT) * SLOT;
    for (const { id, window_start: start, trip_count: trips } of windows) {
      const name = key(id, start);
      const isNew = Date.parse(start) > (this.newest.get(id) ?? Infinity);
      const before = this.counts.get(name) ?? (isNew ? 0 : trips);
      if (trips > before) this.slots.set(slot, (this.slots.get(slot) ?? 0) + trips - before);
      this.know(id, start, trips);
    }
    for (const start of this.slots.keys()) if (start < slot - KEPT * SLOT) this.slots.delete(start);
    if (this.counts.size > 5000) this.counts = new Map([...this.counts].slice(-1000));
  }

  /** Trips a second of the last ten seconds; null until they are over once. */
  rate(now = Date.now()) {
    if (now - this.since < RECENT) return null;
    let trips = 0;
    for (const [start, found] of this.slots) if (start >= now - RECENT - SLOT && start < now - (now % SLOT)) trips += found;
    return trips / (RECENT / 1000);
  }

  /** The last three minutes as [time, trips a second]; the slot that is not over is left out. */
  series(now = Date.now()) {
    const end = Math.floor(now / SLOT) * SLOT;
    return Array.from({ length: KEPT }, (_, index) => {
      const start = end - (KEPT - index) * SLOT;
      return [start, start < this.since - SLOT ? null : (this.slots.get(start) ?? 0) / (SLOT / 1000)];
    });
  }
}

const key = (id, start) => `${start} ${id}`;
