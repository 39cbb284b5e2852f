// "Is it all right?", "why does nothing start, and until when?": one word, one sentence, one time.

import { capitalised, count } from "./format.js";

const PATIENCE = 10; // seconds in which a worker comes for a job that may start

// Whether a job could start and none runs.
export const startable = (status) =>
  status.pending > 0 && status.running === 0 && !status.paused && status.next_start_seconds === 0;

// { word, tone, why, seconds, total, open }: tone is "calm", "pace", "hold" or "alarm". `seconds` are left of `total`;
// null where no time is certain. `open`: then the next start has a forecast.
// `stuck`: for so many seconds a job could have started, and none has.
export function stateOf(status, workers, stuck = 0) {
  const nothing = { seconds: null, total: null, open: false };
  const jobs = count(status.pending, "job waits", "jobs wait");
  if (status.paused) {
    const going = status.running ? "What runs goes on, and no other job starts" : "No job starts";
    return { ...nothing, word: "Paused", tone: "hold", why: `Paused by hand. ${going} until it is resumed.` };
  }
  if (workers && !workers.some((worker) => alive(worker)) && status.pending) {
    const why = `${jobs}, and no worker has this queue open. Start one, for example with \`pacer worker\`.`;
    return { ...nothing, word: "No worker", tone: "alarm", why };
  }
  if (status.hold_seconds > 0) {
    return { ...timed(status.hold_reason, status.hold_seconds), word: "On hold", tone: "hold" };
  }
  if (status.pending && status.waiting_for) return waiting(status, nothing);
  if (stuck > PATIENCE) {
    const why = `${jobs} and may start, and no worker takes one. Does one run that knows the function?`;
    return { ...nothing, word: "Not starting", tone: "alarm", why };
  }
  if (status.pending || status.running) {
    const why = status.pending ? `${jobs}; the next may start now.` : "Nothing waits.";
    return { ...nothing, word: "Working", tone: "calm", why };
  }
  return { ...nothing, word: "Idle", tone: "calm", why: "Nothing waits and nothing runs." };
}

function waiting(status, nothing) {
  const seconds = status.next_start_seconds;
  if (seconds !== null) return { ...timed(status.waiting_for, seconds), word: "Pacing", tone: "pace" };
  const byHand = status.waiting_for.includes("by hand");
  const why = `${capitalised(status.waiting_for)}.`;
  if (byHand) return { ...nothing, word: "Stopped", tone: "hold", why };
  const next = status.running ? ` The next starts when ${status.running === 1 ? "it" : "one of them"} has ended.` : "";
  return { ...nothing, word: "Working", tone: "calm", why: why + next, open: true };
}

function timed(reason, seconds) {
  return { why: `${capitalised(reason)}.`, seconds, total: totalOf(reason, seconds), open: true };
}

// Pauses and backoffs say how long they are in all. Null where the phrase does not.
export function totalOf(reason, seconds) {
  const match = /^(?:pause|backoff) of (\d+(?:\.\d+)?) s\b|\bwait (\d+(?:\.\d+)?) s\b/.exec(reason);
  const total = match ? Number(match[1] ?? match[2]) : null;
  return total !== null && total >= seconds - 0.1 ? total : null;
}

export const alive = (worker) => worker.alive_seconds === null || worker.alive_seconds > 0;

// What else deserves a look: { text, href, tone }.
export function cautionsOf(status, ended) {
  const found = [];
  const add = (text, href, tone) => found.push({ text, href, tone });
  if (status.pending >= status.capacity) add("Full: new jobs are refused", "#/jobs?state=queued", "alarm");
  if (status.failures_in_a_row > 1) add(`${status.failures_in_a_row} failures in a row`, "#/jobs?state=failed", "hold");
  for (const state of ["stale", "dead"]) {
    const number = ended?.counts[state];
    if (number) add(`${number >= 1000 ? "1000+" : number} ${state}`, `#/jobs?state=${state}`, "hold");
  }
  const set = Object.keys(status.numbers_by_hand).length;
  if (set) add(`${count(set, "number")} set by hand`, "#/numbers", "pace");
  return found;
}
