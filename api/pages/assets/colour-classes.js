// Classes of numbers with a colour each, and bounds that a legend can show.

const STEPS = 6;

/**
 * Bounds between classes with about the same number of values each, rounded to short numbers.
 * Cells differ by orders of magnitude: with equal steps almost all would have the same colour.
 * @param {number[]} values
 * @returns {number[]} ascending, at most STEPS - 1
 */
export function classBounds(values) {
  const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
  const distinct = [...new Set(sorted)];
  if (distinct.length <= STEPS) return distinct.slice(1);
  const found = [];
  for (let step = 1; step < STEPS; step += 1) {
    // Classes of high values are smaller, as these are of most interest.
    const share = 1 - (1 - step / STEPS) ** 1.35;
    const bound = round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
    if (bound > sorted[0] && bound > (found.at(-1) ?? 0) && bound <= sorted.at(-1)) found.push(bound);
  }
  return found;
}

/** The class of a value: 0 to limits.length. */
export function classOf(value, limits) {
  let index = 0;
  while (index < limits.length && value >= limits[index]) index += 1;
  return index;
}

/** The colour of a class among STEPS colours: few classes are spread over all of them. */
export const colourOf = (index, limits) =>
  limits.length ? Math.round((index * (STEPS - 1)) / limits.length) : STEPS - 3;

function round(value) {
  if (value <= 10) return value < 1 ? Number(value.toPrecision(1)) : Math.round(value);
  const unit = 10 ** Math.floor(Math.log10(value) - 1) * (value < 10 ** (Math.floor(Math.log10(value)) + 0.4) ? 1 : 5);
  return Math.round(value / unit) * unit;
}
