// Lengths of the buckets of a series.

const MINUTE = 60_000;
export const DAY = 1440 * MINUTE;
const MAX_BUCKETS = 750;
const GRANULARITIES = [
  { name: "5 minutes", value: "PT5M", step: 5 * MINUTE },
  { name: "15 minutes", value: "PT15M", step: 15 * MINUTE },
  { name: "1 hour", value: "PT1H", step: 60 * MINUTE },
  { name: "1 day", value: "P1D", step: DAY },
];

/**
 * The granularities for a range of a length: multiples of a window that give a reasonable number of
 * buckets, the finest first; there is at least one.
 */
export function granularitiesFor(length, window) {
  const multiples = GRANULARITIES.filter(({ step }) => step % window === 0);
  // Without a name of its own, the API takes windows.
  if (!multiples.length) return [{ name: "windows", value: "", step: window }];
  const found = multiples.filter(({ step }) => length / step <= MAX_BUCKETS && length >= step * 2);
  return found.length ? found : [length < DAY ? multiples[0] : multiples.at(-1)];
}
