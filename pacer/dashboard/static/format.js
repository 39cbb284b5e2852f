// Numbers and times for people.

// 7.2 s, 95 s, 4.3 min, 12 min, 2 h 05 min, 25 h, 3 days. `tenths` is for what counts.
export function duration(seconds, tenths = false) {
  if (seconds === null || !Number.isFinite(seconds)) return "an unknown time";
  if (seconds < 9.95 && tenths) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 0.95) return seconds < 0.0005 ? "0 s" : `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${trimmed(seconds)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${inUnits(seconds / 60)} min`;
  if (minutes < 10 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)} h`;
  return `${Math.round(minutes / 1440)} days`;
}

const UNITS = [["s", 1], ["min", 60], ["h", 3600], ["days", 86400]].map(([unit, size]) => ({ unit, size }));
const inUnits = (value) => (value < 9.95 ? trimmed(value) : String(Math.round(value)));

const trimmed = (value) => String(Number(value.toFixed(1)));

// What counts down: 7.2 s, 59 s, 4:05, 1:02:09.
export function countdown(seconds, tenths) {
  const left = Math.max(0, seconds);
  if (left < 10 && tenths) return `${left.toFixed(1)} s`;
  const whole = Math.ceil(left);
  if (whole < 60) return `${whole} s`;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const two = (value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

// "in about 2 min"; a start that is due is due now.
export function expected(estimate) {
  if (!estimate || estimate.seconds === null) return "not known";
  if (estimate.seconds < 0.05) return "now";
  return `in about ${estimate.seconds < 1 ? duration(estimate.seconds, true) : duration(estimate.seconds)}`;
}

// "80 % between 1 and 4 min"; nothing where both ends are the same to people.
export function interval(estimate) {
  if (!estimate || estimate.high < 0.05) return "";
  const { unit, size } = UNITS.findLast((one) => estimate.high >= 1.65 * one.size) ?? UNITS[0];
  const [low, high] = [estimate.low, estimate.high].map((seconds) => inUnits(Math.max(0, seconds) / size));
  return low === high ? "" : `80 % between ${low} and ${high} ${unit}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const clockTime = (date) => clock.format(date);
export const minuteTime = (date) => minute.format(date);
export const dayTime = (date) => day.format(date);

// A rate in the unit in which it is easiest to read: all that stand beside each other in the same.
export function rateUnit(perSecond) {
  if (perSecond >= 1) return { each: "second", factor: 1 };
  if (perSecond === 0 || perSecond * 60 >= 1) return { each: "minute", factor: 60 };
  return { each: "hour", factor: 3600 };
}

export function amount(value) {
  if (value === null || !Number.isFinite(value)) return "unlimited";
  if (value >= 1000) return Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
  return String(Number(value.toPrecision(value < 10 ? 2 : 3)));
}

export const count = (number, one, many = `${one}s`) => `${amount(number)} ${number === 1 ? one : many}`;

// As kept by the store: it counts up to 1000 only.
export const counted = (number) => (number >= 1000 ? `${amount(1000)}+` : String(number));

export const capitalised = (text) => (text ? text[0].toUpperCase() + text.slice(1) : text);
