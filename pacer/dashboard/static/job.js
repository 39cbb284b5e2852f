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
const SOON = 5; // seconds from which on a time of day says more than how long it is until then
let shown = null;

// The view of this job, empty until something is known of it. Gives its heading.
export function openJob(id) {
  shown = new JobView(id);
  byId("job").replaceChildren(shown.node);
  return shown.heading;
}

// `state` is that of the queue, if it is known.
export function showJob(data, state) {
  shown?.update(data, state?.unless ?? null);
}

class JobView {
  #job = null;
  #word = el("span", { class: "chip" });
  #answer = el("p", { class: "answer" }, "Looking it up…");
  #range = el("p", { class: "quiet-text" });
  #why = el("span");
  #left = el("span", { class: "amount", role: "timer" });
  #reason = el("p", { class: "reason" }, "Not yet, because: ", this.#why, this.#left);
  #bar = el("progress", { max: 1, "aria-label": "Progress" });
  #part = el("span", { class: "amount" });
  #progress = el("div", { class: "row-line" }, this.#bar, this.#part);
  #age = el("span", { class: "amount" });
  #message = el("p", { class: "quiet-text" });
  #error = el("pre", { class: "error", tabindex: 0, "aria-label": "Error" });
  #facts = el("dl", { class: "details" });
  #cancel = actionButton("Cancel", "Cancel", () => cancelJob(this.#job));
  #retry = actionButton("Retry", "Retry", () => retryJob(this.#job));

  constructor(id) {
    this.heading = el("h2", { class: "job-id", tabindex: -1, "data-heading": true }, "Job ", said(id, { class: "id" }));
    const actions = steerable ? [this.#cancel, this.#retry] : [];
    this.node = el("article", {},
      el("div", { class: "row-line" }, this.heading, this.#word),
      el("div", { class: "card" },
        this.#answer, this.#range, this.#reason, this.#progress, this.#message, this.#error,
        el("div", { class: "job-actions" }, ...actions), this.#facts, argumentsShown ? argumentsPart(id) : null));
    this.#hideAll();
  }

  #hideAll() {
    const parts = [this.#word, this.#range, this.#reason, this.#progress, this.#message, this.#error];
    for (const part of [...parts, this.#cancel, this.#retry, this.#facts]) show(part, false);
  }

  update(data, unless) {
    if (data.unknown) {
      this.#hideAll();
      setText(this.#answer, "No job has this id. It may have ended long ago and been forgotten.");
      return;
    }
    const job = (this.#job = data.job);
    const [waits, runs] = [job.state === "queued", job.state === "running"];
    show(this.#word, true);
    setText(this.#word, waits ? "waiting" : job.state);
    setAttribute(this.#word, "data-state", job.state);
    this.#showAnswer({ ...data, estimate: unless === null ? data.estimate : null });
    this.#showReason(data);
    show(this.#progress, runs && job.progress !== null);
    showProgress(this.#bar, this.#part, job.progress);
    show(this.#message, job.message !== "");
    setText(this.#message, visible(job.message));
    show(this.#error, job.error !== "");
    setText(this.#error, visibleLines(job.error));
    show(this.#cancel, waits || runs);
    show(this.#retry, !waits && !runs && job.state !== "succeeded");
    show(this.#facts, true);
    keyed(this.#facts, factsOf(job), ([name]) => name, fact);
  }

  #showAnswer({ job, ahead, estimate }) {
    const range = job.state === "queued" ? interval(estimate) : "";
    show(this.#range, range !== "");
    setText(this.#range, range);
    if (job.state === "running") {
      if (!this.#answer.contains(this.#age)) this.#answer.replaceChildren("Has been running for ", this.#age, ".");
      countUp(this.#age, new Date(job.started_at));
    } else {
      setText(this.#answer, job.state === "queued" ? `${inLine(ahead)}${startOf(estimate)}` : ENDED[job.state]);
    }
  }

  #showReason({ job, reason, seconds }) {
    show(this.#reason, job.state === "queued" && reason !== "");
    setText(this.#why, visible(capitalised(reason)));
    if (seconds !== null) {
      countDown(this.#left, seconds);
    } else {
      settle(this.#left);
      setText(this.#left, "");
    }
  }
}

function inLine(ahead) {
  if (ahead === null) return "";
  if (ahead === 0) return "It is the next. ";
  return ahead === 1 ? "1 job is ahead of it. " : `${ahead} jobs are ahead of it. `;
}

function startOf(estimate) {
  if (!estimate) return "No time can be named for its start.";
  const at = clockTime(new Date(now().getTime() + estimate.seconds * 1000));
  return `It starts ${expected(estimate)}${estimate.seconds >= SOON ? `, around ${at}` : ""}.`;
}

function factsOf(job) {
  const time = (text) => (text ? dayTime(new Date(text)) : null);
  const between = (from, to) => (new Date(to) - new Date(from)) / 1000;
  const times = (number) => (number === 0 ? null : number === 1 ? "once" : `${number} times`);
  const delayed = between(job.created_at, job.ready_at) > 0.5;
  return [
    ["Task", job.task],
    ["Position", job.position],
    ["Attempt", job.attempt],
    ["Key", job.key],
    ["Priority", job.priority || null],
    ["Enqueued", time(job.created_at)],
    ["Not before", delayed ? time(job.ready_at) : null],
    ["Of no use after", time(job.expires_at)],
    ["Started", time(job.started_at)],
    ["Ended", time(job.ended_at)],
    ["Took", job.started_at && job.ended_at ? duration(between(job.started_at, job.ended_at)) : null],
    ["Throttled", times(job.throttles)],
    ["Interrupted by a crash", times(job.recoveries)],
    ["Costs", costs(job.cost)],
    ["Batch", job.batch_id],
    ["Worker", job.worker],
  ].filter(([, value]) => value !== null);
}

// One request is what a job costs of which nothing is said.
function costs(cost) {
  const text = Object.entries(cost).map(([name, value]) => `${value} ${name}`).join(", ");
  return text === "1 requests" ? null : text;
}

function fact() {
  const [name, text] = [el("dt"), el("bdi")];
  const update = ([label, content]) => {
    setText(name, label);
    setText(text, visible(String(content)));
  };
  return { node: el("div", {}, name, el("dd", {}, text)), update };
}

function argumentsPart(id) {
  const place = el("div", { "aria-live": "polite" });
  const ask = actionButton("Show arguments", "Show arguments", async () => {
    try {
      const { positional, named } = await load("arguments", { job: id });
      const all = [...positional.map((value, index) => [String(index + 1), value]), ...Object.entries(named)];
      place.replaceChildren(all.length ? argumentList(all) : el("p", { class: "quiet-text" }, "It has no arguments."));
      show(ask, false);
    } catch (error) {
      notice("problem", error.message);
    }
  });
  return el("section", { "aria-label": "Arguments", class: "arguments-part" }, ask, place);
}

function argumentList(all) {
  const rows = all.map(([name, value]) => {
    const text = el("pre", { tabindex: 0, "aria-label": `Argument ${visible(name)}` }, visibleLines(value));
    return el("div", {}, el("dt", {}, said(name)), el("dd", {}, text));
  });
  return el("dl", { class: "details arguments" }, ...rows);
}
