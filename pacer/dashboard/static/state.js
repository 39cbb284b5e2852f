// "Is it all right?", "why does nothing start, and until when?": one word, one sentence, one time.

import { capitalised, count } from "./format.js";

const PATIENCE = 10; // seconds in which a worker comes for a job that may start
const NOTHING = { seconds: null, total: null, then: "", open: false, unless: null };

// Whether a job could start and none runs.
export const startable = (status, next) =>
  status.pending > 0 && status.running === 0 && !status.paused && status.next_start_seconds === 0 && !next?.reason;

// Of a reading: { word, tone, why, seconds, total, then, open, unless }. `tone` is "calm", "pace", "hold" or "alarm".
// `seconds` are left of `total` until what `then` says; null where no time is certain. `open`: the forecast of the next
// start is worth a line then. `unless`: what a person has to do before anything starts, so that no forecast holds; or null.
// `stuck`: for so many seconds a job could have started, and none has.
export function stateOf({ status, workers, next }, stuck = 0) {
  const jobs = count(status.pending, "job waits", "jobs wait");
  if (status.paused) return paused(status);
  if (status.pending && workers && !workers.some((worker) => alive(worker) && worker.slots > 0)) {
    return alarm("No worker", `${jobs}, and no worker is there. Start one, for example with \`pacer worker\`.`);
  }
  if (status.hold_seconds > 0) return held(status);
  if (status.pending && status.waiting_for) return waiting(status);
  if (status.pending && next?.reason) return waitingOf(next, status, jobs);
  if (stuck > PATIENCE) return alarm("Not starting", `${jobs} and may start, and no worker takes one.`);
  if (status.pending) return { ...NOTHING, word: "Working", tone: "calm", why: `${jobs}; the next may start now.` };
  if (status.running) {
    const why = `${count(status.running, "job runs", "jobs run")}, and nothing waits.`;
    return { ...NOTHING, word: "Working", tone: "calm", why };
  }
  return { ...NOTHING, word: "Idle", tone: "calm", why: "Nothing waits and nothing runs." };
}

const alarm = (word, why) => ({ ...NOTHING, word, tone: "alarm", why, unless: "with a worker" });

function paused(status) {
  const going = status.running ? "What runs goes on, and no other job starts" : "No job starts";
  const why = `Paused by hand. ${going} until it is resumed.`;
  return { ...NOTHING, word: "Paused", tone: "hold", why, unless: "when resumed" };
}

// A hold is over at a time; the pace may let the next job start later, and what runs may have to end before.
function held(status) {
  const [reason, hold, start] = [capitalised(status.hold_reason), status.hold_seconds, status.next_start_seconds];
  const state = { word: "On hold", tone: "hold", open: true };
  if (start === null) return { ...NOTHING, ...state, ...timed(reason, hold), then: "until it is over" };
  if (start <= hold + 0.5) return { ...NOTHING, ...state, ...timed(reason, hold), then: "until the next start" };
  const why = `${reason}, then ${status.waiting_for}.`;
  return { ...NOTHING, ...state, why, seconds: start, then: "until the next start" };
}

// What the queue says of any job.
function waiting(status) {
  const seconds = status.next_start_seconds;
  if (seconds !== null) {
    const until = { then: "until the next start", open: true };
    return { ...NOTHING, ...timed(capitalised(status.waiting_for), seconds), ...until, word: "Pacing", tone: "pace" };
  }
  const why = `${capitalised(status.waiting_for)}.`;
  if (status.waiting_for.includes("by hand")) {
    return { ...NOTHING, word: "Stopped", tone: "hold", why, unless: "with a rate" };
  }
  const then = status.running ? ` The next starts when ${status.running === 1 ? "it" : "one of them"} has ended.` : "";
  return { ...NOTHING, word: "Working", tone: "calm", why: why + then, open: true };
}

// What stands in the way of the job that comes next, where the queue would let one start.
function waitingOf({ reason, seconds }, status, jobs) {
  const why = status.pending === 1 ? `${jobs}: ${reason}.` : `${jobs}. The next: ${reason}.`;
  const state = { ...NOTHING, why };
  if (status.running) return { ...state, word: "Working", tone: "calm" };
  if (seconds === null) return alarm("Not starting", `${jobs}, and ${reason}.`);
  return { ...state, word: "Waiting", tone: "pace", seconds, then: "until the next start" };
}

const timed = (reason, seconds) => ({ why: `${reason}.`, seconds, total: totalOf(reason, seconds) });

// Pauses and backoffs say how long they are in all. Null where the phrase does not.
function totalOf(reason, seconds) {
  const match = /^(?:pause|backoff) of (\d+(?:\.\d+)?) s\b|\bwait (\d+(?:\.\d+)?) s\b/i.exec(reason);
  const total = match ? Number(match[1] ?? match[2]) : null;
  return total !== null && total >= seconds - 0.1 ? total : null;
}

export const alive = (worker) => worker.alive_seconds === null || worker.alive_seconds > 0;

// What else deserves a look: { text, href, tone }.
export function cautionsOf(status, ended) {
  const found = [];
  const add = (text, href, tone) => found.push({ text, href, tone });
  if (status.pending >= status.capacity) add("Full: no room for another job", "#/jobs?state=queued", "alarm");
  if (status.failures_in_a_row > 1) add(`${status.failures_in_a_row} failures in a row`, "#/jobs?state=failed", "hold");
  for (const state of ["stale", "dead"]) {
    const number = ended?.counts[state];
    if (number) add(`${number >= 1000 ? "1000+" : number} ${state}`, `#/jobs?state=${state}`, "hold");
  }
  const set = Object.keys(status.numbers_by_hand).length;
  if (set) add(`${count(set, "number")} set by hand`, "#/numbers", "pace");
  return found;
}
