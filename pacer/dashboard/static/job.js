// One job: where it stands, why it has not started, and when it will.

import { actionButton, argumentsShown, cancelJob, load, notice, retryJob, steerable } from "./actions.js";
import { byId, el, keyed, said, setAttribute, setText, show, visible, visibleLines } from "./dom.js";
import { countDown, countUp, now, settle } from "./clock.js";
import { capitalised, clockTime, dayTime, duration, expected, interval } from "./format.js";
import { showProgress } from "./overview.js";

const ENDED = {
  succeeded: "Succeeded.",
  failed: "Failed, and no attempt is left.",
  cancelled: "Cancelled.",
  dropped: "Dropped from the full queue for a newer job.",
  expired: "Had not started by the time after which it was of no use.",
  stale: "A crash interrupted it; it is run again only if somebody asks.",
  dead: "It was running in too many crashes to be tried again.",
};
let shown = null; // { id, update }

// The view of this job, empty until something is known of it.
export function openJob(id) {
  shown = jobView(id);
  byId("job").replaceChildren(shown.node);
  return shown.heading;
}

export function showJob(data) {
  shown?.update(data);
}

function jobView(id) {
  const heading = el("h2", { class: "job-id", tabindex: -1, "data-heading": true }, "Job ", said(id, { class: "id" }));
  const word = el("span", { class: "chip" });
  const answer = el("p", { class: "answer" }, "Looking it up…");
  const range = el("p", { class: "quiet-text" });
  const reason = el("p", { class: "reason" });
  const why = el("span");
  const left = el("span", { class: "amount", role: "timer" });
  reason.append("Not yet, because: ", why, left);
  const bar = el("progress", { max: 1, "aria-label": "Progress" });
  const part = el("span", { class: "amount" });
  const age = el("span", { class: "amount" });
  const progress = el("div", { class: "row-line" }, bar, part);
  const message = el("p", { class: "quiet-text" });
  const error = el("pre", { class: "error", tabindex: 0, "aria-label": "Error" });
  const facts = el("dl", { class: "details" });
  let job = null;
  const cancel = actionButton("Cancel", "Cancel", () => cancelJob(job));
  const retry = actionButton("Retry", "Retry", () => retryJob(job));
  const given = argumentsShown ? argumentsPart(id) : null;
  const actions = el("div", { class: "job-actions" }, steerable ? cancel : null, steerable ? retry : null);
  const body = el("div", { class: "card" }, answer, range, reason, progress, message, error, actions, facts, given);
  const node = el("article", {}, el("div", { class: "row-line" }, heading, word), body);
  for (const one of [range, reason, progress, message, error, cancel, retry, word]) show(one, false);

  const update = (data) => {
    if (data.unknown) {
      for (const one of [range, reason, progress, message, error, cancel, retry, word, facts]) show(one, false);
      setText(answer, "No job has this id. It may have ended long ago and been forgotten.");
      return;
    }
    job = data.job;
    const waits = job.state === "queued";
    const runs = job.state === "running";
    show(word, true);
    setText(word, waits ? "waiting" : job.state);
    setAttribute(word, "data-state", job.state);
    showAnswer(answer, age, data);
    show(range, waits && interval(data.estimate) !== "");
    setText(range, interval(data.estimate));
    showReason(reason, why, left, data);
    show(progress, runs && job.progress !== null);
    showProgress(bar, part, job.progress);
    show(message, job.message !== "");
    setText(message, visible(job.message));
    show(error, job.error !== "");
    setText(error, visibleLines(job.error));
    show(cancel, waits || runs);
    show(retry, !waits && !runs && job.state !== "succeeded");
    show(facts, true);
    keyed(facts, factsOf(job), ([name]) => name, fact);
  };
  return { id, node, heading, update };
}

function showAnswer(answer, age, { job, ahead, estimate }) {
  if (job.state === "running") {
    if (!answer.contains(age)) answer.replaceChildren("Has been running for ", age, ".");
    countUp(age, new Date(job.started_at));
    return;
  }
  if (job.state !== "queued") {
    setText(answer, ENDED[job.state]);
    return;
  }
  const line = ahead === null ? "" : ahead === 0 ? "It is the next. " : ahead === 1 ? "1 job is ahead of it. " : `${ahead} jobs are ahead of it. `;
  const when = estimate
    ? `It starts ${expected(estimate)}${estimate.seconds >= 5 ? `, around ${clockTime(new Date(now().getTime() + estimate.seconds * 1000))}` : ""}.`
    : "No time can be named for its start.";
  setText(answer, line + when);
}

function showReason(reason, why, left, { job, reason: text, seconds }) {
  show(reason, job.state === "queued" && text !== "");
  setText(why, visible(capitalised(text)));
  if (seconds === null) {
    settle(left);
    setText(left, "");
    return;
  }
  countDown(left, seconds);
}

function factsOf(job) {
  const time = (text) => (text ? dayTime(new Date(text)) : null);
  const took = job.started_at && job.ended_at ? duration((new Date(job.ended_at) - new Date(job.started_at)) / 1000) : null;
  const later = new Date(job.ready_at) - new Date(job.created_at) > 500;
  return [
    ["Task", job.task],
    ["Position", job.position],
    ["Attempt", job.attempt],
    ["Key", job.key],
    ["Priority", job.priority || null],
    ["Enqueued", time(job.created_at)],
    ["Not before", later ? time(job.ready_at) : null],
    ["Of no use after", time(job.expires_at)],
    ["Started", time(job.started_at)],
    ["Ended", time(job.ended_at)],
    ["Took", took],
    ["Throttled", job.throttles ? `${job.throttles} times` : null],
    ["Interrupted by a crash", job.recoveries ? `${job.recoveries} times` : null],
    ["Costs", Object.entries(job.cost).map(([name, value]) => `${value} ${name}`).join(", ")],
    ["Batch", job.batch_id],
    ["Worker", job.worker],
  ].filter(([, value]) => value !== null);
}

function fact() {
  const name = el("dt");
  const value = el("dd");
  const text = el("bdi");
  value.append(text);
  const update = ([label, content]) => {
    setText(name, label);
    setText(text, visible(String(content)));
  };
  return { node: el("div", {}, name, value), update };
}

function argumentsPart(id) {
  const place = el("div", { "aria-live": "polite" });
  const ask = actionButton("Show arguments", "Show arguments", async () => {
    try {
      const { positional, named } = await load("arguments", { job: id });
      const all = [...positional.map((value, index) => [String(index + 1), value]), ...Object.entries(named)];
      const list = el("dl", { class: "details arguments" },
        ...all.map(([name, value]) => el("div", {}, el("dt", {}, said(name)), el("dd", {}, el("pre", { tabindex: 0, "aria-label": `Argument ${visible(name)}` }, visibleLines(value))))));
      place.replaceChildren(all.length ? list : el("p", { class: "quiet-text" }, "It has no arguments."));
      show(ask, false);
    } catch (error) {
      notice("problem", error.message);
    }
  });
  return el("section", { "aria-label": "Arguments", class: "arguments-part" }, ask, place);
}
