// What moves with time between two readings: countdowns and ages, told by the browser's own monotonic clock.

import { countdown, duration } from "./format.js";
import { setText } from "./dom.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const moving = new Map();
let stopped = false;
let offset = 0; // of the server's clock from this one's, in milliseconds

export const now = () => new Date(Date.now() + offset);

// The answer's Date header is in whole seconds, so half of one is right on average.
export function learnServerTime(header) {
  const server = Date.parse(header ?? "");
  if (!Number.isNaN(server)) offset = Math.abs(server + 500 - Date.now()) < 1500 ? 0 : server + 500 - Date.now();
}

// Show on this node how many seconds are left; a bar, if given, fills up to `total`. `over` is called once none is: the
// next reading may be a second away, and "0.0 s" would stand there as long.
export function countDown(node, seconds, { bar = null, total = 0, over = () => setText(node, "") } = {}) {
  moving.set(node, { until: performance.now() + seconds * 1000, bar, total, over });
  tickOne(node, moving.get(node));
}

// Show how long ago that was.
export function countUp(node, since) {
  moving.set(node, { since });
  tickOne(node, moving.get(node));
}

export function settle(node) {
  moving.delete(node);
}

// Numbers that are not heard of any more must not look alive.
export function setStopped(value) {
  stopped = value;
}

function tickOne(node, what) {
  if (what.since) {
    setText(node, duration(Math.max(0, (now() - what.since) / 1000), true));
    return;
  }
  const left = Math.max(0, (what.until - performance.now()) / 1000);
  if (what.bar) {
    what.bar.max = what.total;
    what.bar.value = Math.min(what.total, Math.max(0, what.total - left));
  }
  if (left >= 0.05) {
    setText(node, countdown(left, !still.matches));
  } else {
    moving.delete(node);
    what.over();
  }
}

function tick() {
  if (stopped) return;
  for (const [node, what] of moving) {
    if (node.isConnected) tickOne(node, what);
    else moving.delete(node);
  }
}

const start = () => setInterval(tick, still.matches ? 1000 : 100);
let timer = start();
still.addEventListener("change", () => {
  clearInterval(timer);
  timer = start();
});
