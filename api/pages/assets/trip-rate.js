// The rate of counted trips, from live events: each has the total count of a window so far.

const SLOT = 2000;
const MAX_SLOTS = 90; // slots: three minutes
const RECENT = 10_000;

/** Calculates trips per second of the wall clock from windows that change. */
export class TripRate {
  constructor() {
    this.counts = new Map(); // "id window" to trips
    this.slots = new Map(); // start of a slot to trips
    this.newest = new Map(); // id to its newest window
    this.since = Date.now();
  }

  /** Set the known count of a window, without counting its trips. */
  setCount(id, start, trips) {
    this.counts.set(key(id, start), trips);
    this.newest.set(id, Math.max(this.newest.get(id) ?? 0, Date.parse(start)));
  }

  /** Count the new trips of windows that changed at `now`. */
  addChanges(windows, now = Date.now()) {
    const slot = Math.floor(now / SLOT) * SLOT;
    for (const { id, window_start: start, trip_count: trips } of windows) {
      const name = key(id, start);
      const isNew = Date.parse(start) > (this.newest.get(id) ?? Infinity);
      const before = this.counts.get(name) ?? (isNew ? 0 : trips);
      if (trips > before) this.slots.set(slot, (this.slots.get(slot) ?? 0) + trips - before);
      this.setCount(id, start, trips);
    }
    for (const start of this.slots.keys()) if (start < slot - MAX_SLOTS * SLOT) this.slots.delete(start);
    if (this.counts.size > 5000) this.counts = new Map([...this.counts].slice(-1000));
  }

  /** Trips per second over the last ten seconds; null during the first ten. */
  rate(now = Date.now()) {
    if (now - this.since < RECENT) return null;
    let trips = 0;
    for (const [start, found] of this.slots) if (start >= now - RECENT - SLOT && start < now - (now % SLOT)) trips += found;
    return trips / (RECENT / 1000);
  }

  /** The last three minutes as [time, trips per second], without the current slot. */
  series(now = Date.now()) {
    const end = Math.floor(now / SLOT) * SLOT;
    return Array.from({ length: MAX_SLOTS }, (_, index) => {
      const start = end - (MAX_SLOTS - index) * SLOT;
      return [start, start < this.since - SLOT ? null : (this.slots.get(start) ?? 0) / (SLOT / 1000)];
    });
  }
}

const key = (id, start) => `${start} ${id}`;
