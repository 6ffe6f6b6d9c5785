// Sums with more digits than a double has. They count as the nearest double, and are shown with all of their digits.

/** Up to here a double tells all millionths of a unit apart. */
const MOST = 2 ** 53 / 1e6;

class Digits extends Number {
  constructor(text) {
    super(text);
    this.text = text;
  }

  toString() { return this.text; }
}

/** JSON, with Digits where a number has more of them than a double; in browsers that don't tell its text, with the double. */
export function parse(text) {
  const keep = (_, value, context) =>
    (typeof value === "number" && Math.abs(value) > MOST && context?.source ? new Digits(context.source) : value);
  return JSON.parse(text, keep);
}
