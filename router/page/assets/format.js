// Numbers as people read them, with their units.

const NOTHING = "–";

/** Returns a count with its thousands apart. */
export function count(value) {
  return value.toLocaleString("en-US");
}

/** Returns a share of 1 in percent. */
export function percent(share) {
  if (share == null || !Number.isFinite(share)) return NOTHING;
  const value = share * 100;
  return `${value.toFixed(value !== 0 && Math.abs(value) < 1 ? 1 : 0)} %`;
}

/** Returns a probability with two digits. */
export function probability(value) {
  return value == null ? NOTHING : value.toFixed(2);
}

/** Returns a change of a probability, with its sign. */
export function change(value) {
  if (value == null) return NOTHING;
  const size = Math.abs(value).toFixed(3);
  return `${Number(size) === 0 ? "" : value < 0 ? "−" : "+"}${size}`;
}

/** Returns a time span. */
export function seconds(value) {
  if (value == null) return NOTHING;
  if (value < 0.0995) return `${Math.max(value * 1000, 0).toFixed(value < 0.00995 ? 1 : 0)} ms`;
  if (value < 99.5) return `${value.toFixed(value < 9.95 ? 2 : 1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

/** Returns how long something has lasted, roughly. */
export function age(value) {
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  const [name, size] = units.find(([, least]) => value >= least) ?? ["s", 1];
  return `${Math.floor(value / size)} ${name}`;
}

/** Returns an amount of money with as many digits as it needs to say something. */
export function usd(value) {
  return dollars([value])(value);
}

/** Returns how to write amounts that stand below each other: all with the same number of digits. */
export function dollars(values) {
  const known = values.filter((value) => value != null && value !== 0).map(Math.abs).sort((a, b) => a - b);
  const typical = known[Math.floor(known.length / 4)] ?? 1;
  const digits = Math.min(Math.max(2 - Math.floor(Math.log10(typical)) - 1, 2), 8);
  return (value) => (value == null ? NOTHING : `${value < 0 ? "−" : ""}$${Math.abs(value).toFixed(digits)}`);
}

/** Returns a time of day. */
export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString("en-GB");
}

/** Returns the quantile of numbers, undefined where there are none. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)];
}

/** Returns the mean, undefined where there is nothing. */
export function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined;
}
