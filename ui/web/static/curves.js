// From points to lines: where a point stands on the x axis, smoothing, clipping, units. It touches no page.

import { say } from "./live.js";

export const finite = (value) => typeof value === "number" && Number.isFinite(value);
export const short = (value) => (finite(value) ? String(Number(value.toPrecision(4))) : String(value));

/** Whether all points of these series can be placed on an axis. */
export function placeable(axis, source, series) {
  if (axis === "time") return source.begin !== null && series.every((one) => one.times);
  if (axis === "step") return series.every((one) => one.steps);
  return Boolean(source.series.get(axis)?.values.some(finite)) && series.every((one) => one.steps);
}

/** The x of each point of a series: its step, what the series `epoch` or `tokens` says of that, or seconds. */
export function places(axis, source, series) {
  if (axis === "time") return series.times.map((time) => time - source.begin);
  if (axis === "step") return series.steps;
  const scale = source.series.get(axis);
  return series.steps.map((step) => between(scale, step));
}

/** The value of a growing series at a step, in between two known ones by the rule of three. */
export function between({ steps, values }, step) {
  let low = 0;
  let high = steps.length - 1;
  if (step <= steps[low]) return steps[low] > 0 ? (values[low] * step) / steps[low] : values[low];
  if (step >= steps[high]) return values[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle;
    else high = middle;
  }
  return values[low] + ((values[high] - values[low]) * (step - steps[low])) / (steps[high] - steps[low]);
}

/** A running mean: of what was before, `weight` is kept over the usual distance of two points. */
export function smoothed(x, y, weight) {
  if (!weight || y.length < 3) return y;
  const usual = (x.at(-1) - x[0]) / (x.length - 1) || 1;
  let [mean, known, before] = [0, 0, null];
  return y.map((value, at) => {
    if (!finite(value)) return null;
    const kept = before === null ? 0 : weight ** Math.max(0, (x[at] - before) / usual);
    before = x[at];
    mean = kept * mean + (1 - weight) * value;
    known = kept * known + (1 - weight);
    return mean / known;
  });
}

const PAUSE = 6; // so many usual distances without a point are no line

/** `[x, y]` with a gap wherever nothing was measured for long, as between two attempts. */
export function paused(x, y) {
  const steps = x.slice(1).map((at, before) => at - x[before]);
  const usual = [...steps].sort((one, other) => one - other)[steps.length >> 1];
  const gaps = steps.flatMap((step, at) => (usual > 0 && step > PAUSE * usual ? [at + 1] : []));
  const made = [[...x], [...y]];
  for (const at of gaps.reverse()) {
    made[0].splice(at, 0, (x[at - 1] + x[at]) / 2);
    made[1].splice(at, 0, null);
  }
  return made;
}

/** Bounds of a y axis that leave out what lies far beyond all but the outermost twentieths; null for too few values.
 *  A thinned series has more of its extremes than of the rest. */
export function clipped(values, logarithmic) {
  const sorted = values.filter((value) => finite(value) && (!logarithmic || value > 0));
  if (sorted.length < 20) return null;
  sorted.sort((one, other) => one - other);
  const bounds = [0, 0.05, 0.95, 1].map((share) => sorted[Math.round(share * (sorted.length - 1))]);
  const [least, low, high, most] = logarithmic ? bounds.map(Math.log10) : bounds;
  const span = high - low || Math.abs(high) * 0.1 || 1;
  return [Math.max(least - 0.05 * span, low - 0.5 * span), Math.min(most + 0.05 * span, high + 0.5 * span)];
}

const SIZES = [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];
const UNITS = { percent: "%", celsius: "°C", watt: "W", share: "%", rate: "1/s" };

/** What values are shown in: the unit's name, and how much of the value it is. */
export function scaleOf(unit, largest) {
  if (unit === "bytes") {
    const [name, size] = SIZES.find(([, size]) => largest >= size) ?? ["B", 1];
    return { name, size };
  }
  return { name: UNITS[unit] ?? "", size: unit === "share" ? 0.01 : 1 };
}

/** The unit that a span of seconds is shown in. */
export function clockOf(seconds) {
  if (seconds < 180) return { name: say("chart.seconds"), size: 1 };
  return seconds < 10800 ? { name: say("chart.minutes"), size: 60 } : { name: say("chart.hours"), size: 3600 };
}
