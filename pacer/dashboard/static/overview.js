// What runs, who is next, how the last hour was, what went wrong, who works.

import { actionButton, cancelJob, retryAll, retryJob, steerable } from "./actions.js";
import { showCharts } from "./charts.js";
import { byId, el, jobLink, keyed, said, setAttribute, setText, show, visible } from "./dom.js";
import { countUp } from "./clock.js";
import { counted, dayTime, duration, expected, interval } from "./format.js";
import { alive } from "./state.js";

const WORD = { failed: "Failed", stale: "Stale", dead: "Dead" };
const MEANS = {
  failed: "Their function raised, and no attempt is left.",
  stale: "A crash interrupted them, and they are run again only if somebody asks.",
  dead: "They were running in too many crashes.",
};
const byJob = (job) => job.id;

// What is new of a reading; its status always is.
export function showOverview({ running, upcoming, history, status, ended, workers }, { unless }) {
  if (running) {
    list("running", running, byJob, runningRow);
    show(byId("running-more"), status.running > running.length && running.length > 0);
  }
  if (upcoming) showUpcoming(upcoming, status, unless);
  if (history) showCharts(byId("charts"), history, status.rate_limit);
  if (ended) showEnded(ended);
  if (workers) list("workers", workers, (worker) => worker.name, workerRow);
}

function list(id, items, keyOf, make) {
  keyed(byId(id), items, keyOf, make);
  show(byId(`${id}-none`), items.length === 0);
}

function runningRow(first) {
  const age = el("span", { class: "amount" });
  const bar = el("progress", { max: 1, "aria-label": `Progress of job ${visible(first.id)}` });
  const part = el("span", { class: "amount" });
  const message = el("p", { class: "quiet-text" });
  const meta = metaLine();
  let job = first;
  const stop = steerable
    ? actionButton("Cancel", `Cancel job ${visible(first.id)}`, () => cancelJob(job), { class: "small" })
    : null;
  const node = el("li", {},
    el("div", { class: "row-line" }, jobLink(first.id), meta, el("span", { class: "push" }, "for ", age), stop),
    el("div", { class: "row-line" }, bar, part),
    message);
  const update = (next) => {
    job = next;
    setText(meta, metaText(job));
    if (job.started_at) countUp(age, new Date(job.started_at));
    showProgress(bar, part, job.progress);
    setText(message, visible(job.message));
    show(message, job.message !== "");
  };
  return { node, update };
}

export function showProgress(bar, part, progress) {
  show(bar, progress !== null);
  show(part, progress !== null);
  if (progress === null) return;
  setAttribute(bar, "value", progress);
  setText(part, `${Math.floor(progress * 100)} %`);
}

const metaLine = () => el("bdi", { class: "meta" });

function metaText({ task, key, attempt }) {
  const parts = [task, key === null ? "" : `key ${key}`, attempt > 1 ? `attempt ${attempt}` : ""];
  return parts.filter((part) => part !== "").map(visible).join(" · ");
}

let horizon = 1;

function showUpcoming(upcoming, status, unless) {
  horizon = Math.max(1, ...upcoming.map(({ estimate }) => estimate?.high ?? 0));
  const rows = upcoming.map(({ job, estimate }) => ({ job, estimate: unless === null ? estimate : null, unless }));
  list("upcoming", rows, (one) => one.job.id, upcomingRow);
  show(byId("upcoming-more"), status.pending > upcoming.length);
}

function upcomingRow(first) {
  const place = el("span", { class: "place" });
  const meta = metaLine();
  const when = el("span", { class: "next-when amount" });
  const span = el("span", { class: "span" });
  const dot = el("span", { class: "dot" });
  const scale = el("div", { class: "scale", "aria-hidden": "true" }, span, dot);
  const range = el("span", { class: "quiet-text" });
  let job = first.job;
  const drop = steerable
    ? actionButton("Cancel", `Cancel job ${visible(job.id)}`, () => cancelJob(job), { class: "small" })
    : null;
  const node = el("li", { class: "next" }, place,
    el("div", { class: "next-what" }, jobLink(job.id), meta), when,
    el("div", { class: "next-span" }, scale, range), drop);
  const update = ({ job: next, estimate, unless }) => {
    job = next;
    setText(place, job.position === null ? "–" : String(job.position));
    setText(meta, metaText(job));
    setText(when, unless ?? expected(estimate));
    setText(range, interval(estimate));
    show(scale, estimate !== null);
    if (!estimate) return;
    span.style.left = percent(estimate.low);
    span.style.width = percent(estimate.high - estimate.low);
    dot.style.left = percent(estimate.seconds);
  };
  return { node, update };
}

const percent = (seconds) => `${Math.min(100, Math.max(0, (seconds / horizon) * 100)).toFixed(1)}%`;

function showEnded({ counts, last }) {
  const states = Object.keys(WORD).filter((state) => counts[state]);
  keyed(byId("ended"), states, (state) => state, endedPart);
  for (const state of states) endedParts.get(state)(counts[state], last[state] ?? []);
  show(byId("ended-none"), states.length === 0);
}

const endedParts = new Map();

function endedPart(state) {
  const number = el("span", { class: "count" });
  const jobs = el("ul", { class: "rows" });
  let kept = 0;
  const again = steerable
    ? actionButton("Re-run all", `Re-run all ${state} jobs`, () => retryAll(state, counted(kept)), { class: "small" })
    : null;
  const node = el("section", { "aria-label": `${WORD[state]} jobs` },
    el("div", { class: "row-line" },
      el("h4", {}, el("a", { href: `#/jobs?state=${state}` }, WORD[state]), " ", number),
      el("span", { class: "push" }, again)),
    el("p", { class: "quiet-text" }, MEANS[state]),
    jobs);
  endedParts.set(state, (count, last) => {
    kept = count;
    setText(number, counted(count));
    keyed(jobs, last, byJob, endedRow);
  });
  return { node, update: () => {} };
}

function endedRow(first) {
  const error = el("p", { class: "error" });
  const when = el("p", { class: "quiet-text" });
  const again = steerable
    ? actionButton("Retry", `Retry job ${visible(first.id)}`, () => retryJob(first), { class: "small" })
    : null;
  const node = el("li", {},
    el("div", { class: "row-line" }, jobLink(first.id), el("span", { class: "push" }, again)), error, when);
  const update = (job) => {
    setText(error, visible(job.error) || "No error was noted.");
    const tried = job.attempt === 1 ? "1 attempt" : `${job.attempt} attempts`;
    const ended = job.ended_at ? dayTime(new Date(job.ended_at)) : "";
    setText(when, `${visible(job.task)} · ${tried} · ${ended}`);
  };
  return { node, update };
}

const slotsText = (slots) => (slots ? `${slots} at once` : "runs no jobs");

function workerRow(first) {
  const seen = el("span", { class: "push amount" });
  const tasks = el("p", { class: "quiet-text" });
  const line = el("div", { class: "row-line" }, said(first.name, { class: "id" }), seen);
  const node = el("li", {}, line, tasks);
  const update = (worker) => {
    const left = worker.alive_seconds;
    setText(seen, alive(worker) ? slotsText(worker.slots) : `gone: its lease ran out ${duration(-left)} ago`);
    setAttribute(seen, "data-tone", alive(worker) ? "calm" : "alarm");
    const known = worker.tasks.map(visible).sort().join(", ");
    setText(tasks, worker.slots ? known || "knows no function" : "It looks after the queue.");
  };
  return { node, update };
}
