// Lists of jobs: one state at a time, filtered by task and key, page by page. A list stands still while it is read.

import { actionButton, cancelJob, load, retryAll, retryJob, steerable } from "./actions.js";
import { byId, el, jobLink, said, setText, show, visible } from "./dom.js";
import { clockTime, counted, dayTime } from "./format.js";
import { now } from "./clock.js";

const STATES = ["queued", "running", "failed", "stale", "dead", "succeeded", "cancelled", "dropped", "expired"];
const RERUN = ["stale", "dead", "failed"];
const MOST_ASKED = 10; // pages in a row without a job, when few fit the filter

const word = (state) => (state === "queued" ? "Waiting" : state[0].toUpperCase() + state.slice(1));
let view = null;
let counts = {};

// The list that the address asks for. Gives its heading.
export function openJobs(parameters) {
  const asked = Object.fromEntries(["state", "task", "key"].map((name) => [name, parameters.get(name) ?? ""]));
  if (!STATES.includes(asked.state)) asked.state = "queued";
  view = new JobList(asked);
  byId("jobs").replaceChildren(view.node);
  view.first();
  return view.heading;
}

export function showCounts(status, ended) {
  counts = { ...(ended?.counts ?? {}), queued: status?.pending ?? 0, running: status?.running ?? 0 };
  view?.count();
}

function address(asked) {
  const parameters = Object.entries(asked).filter(([, value]) => value);
  return `#/jobs?${new URLSearchParams(parameters)}`;
}

class JobList {
  #asked;
  #after = null;
  #body = el("tbody");
  #table;
  #none = el("p", { class: "empty", hidden: true }, "There are none.");
  #note = el("span", { class: "quiet-text", role: "status" });
  #more = actionButton("More", "More", () => this.#put(this.#after), { hidden: true });
  #tabs = new Map(STATES.map((state) => [state, el("span", { class: "count" })]));

  constructor(asked) {
    this.#asked = asked;
    const title = `${word(asked.state)} jobs`;
    this.heading = el("h2", { tabindex: -1, "data-heading": true }, title);
    const heads = columns(asked.state).map((name) => el("th", { scope: "col" }, name));
    this.#table = el("table", { class: "jobs" },
      el("caption", { class: "unseen" }, title), el("thead", {}, el("tr", {}, ...heads)), this.#body);
    const refresh = actionButton("Refresh", "Refresh", () => this.first());
    this.node = el("section", { class: "card" },
      this.heading, this.#states(), filter(asked),
      el("div", { class: "row-line" }, this.#note, el("span", { class: "push" }), this.#again(), refresh),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, this.#table),
      this.#none, this.#more);
    this.count();
  }

  // The first page; what was shown is gone.
  first() {
    return this.#put(null);
  }

  count() {
    for (const [state, node] of this.#tabs) setText(node, counts[state] ? counted(counts[state]) : "");
  }

  #states() {
    const links = STATES.map((state) => {
      const here = state === this.#asked.state ? "page" : null;
      const to = address({ ...this.#asked, state });
      return el("a", { href: to, "aria-current": here }, word(state), " ", this.#tabs.get(state));
    });
    return el("nav", { class: "states", "aria-label": "State" }, ...links);
  }

  #again() {
    const { state } = this.#asked;
    if (!steerable || !RERUN.includes(state)) return null;
    const run = async () => (await retryAll(state, counted(counts[state] ?? 0))) && this.first();
    return actionButton("Re-run all", `Re-run all ${state} jobs`, run);
  }

  // A page may be empty although others follow.
  async #search(after) {
    let found = { jobs: [], after };
    for (let asked = 0; asked < MOST_ASKED && !found.jobs.length && (asked === 0 || found.after !== null); asked++) {
      const parameters = Object.entries({ ...this.#asked, after: found.after }).filter(([, value]) => value);
      found = await load("jobs", parameters);
    }
    return found;
  }

  async #put(from) {
    try {
      const found = await this.#search(from);
      if (from === null) this.#body.replaceChildren();
      this.#body.append(...found.jobs.map((job) => row(this.#asked.state, job, () => this.first())));
      this.#after = found.after;
      this.#say(this.#body.childElementCount, found.after === null);
    } catch (error) {
      setText(this.#note, error.message);
    }
  }

  #say(rows, all) {
    show(this.#none, rows === 0 && all);
    show(this.#table, rows > 0);
    show(this.#more, !all);
    const rest = all ? "; that is all" : rows === 0 ? "; there may be some further on" : "";
    setText(this.#note, `${rows} shown, as of ${clockTime(now())}${rest}.`);
  }
}

function filter(asked) {
  const [task, key] = [field("task", "Task", asked.task), field("key", "Key", asked.key)];
  const all = asked.task || asked.key ? el("a", { href: address({ state: asked.state }) }, "Show all") : null;
  const form = el("form", { class: "filter", "aria-label": "Filter" },
    task.node, key.node, el("button", { type: "submit" }, "Filter"), all);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = address({ state: asked.state, task: task.input.value, key: key.input.value });
  });
  return form;
}

function field(name, label, value) {
  const input = el("input", { id: `filter-${name}`, name, value, autocomplete: "off", spellcheck: "false" });
  return { input, node: el("div", {}, el("label", { for: `filter-${name}` }, label), input) };
}

const TIMES = { queued: "Enqueued", running: "Started" };
const LAST = { queued: null, succeeded: null, running: "Progress" };
const timeOf = (state) => TIMES[state] ?? "Ended";

function columns(state) {
  const place = state === "queued" ? "Place" : null;
  const last = state in LAST ? LAST[state] : "Error";
  const action = steerable && state !== "succeeded" ? "Action" : null;
  return [place, "Job", "Task", "Key", timeOf(state), "Attempt", last, action].filter((name) => name !== null);
}

function row(state, job, done) {
  const at = { queued: job.created_at, running: job.started_at }[state] ?? job.ended_at;
  const percent = job.progress === null ? "" : `${Math.floor(job.progress * 100)} % `;
  const cells = {
    Place: String(job.position ?? ""),
    Job: jobLink(job.id),
    Task: said(job.task),
    Key: job.key === null ? "" : said(job.key),
    [timeOf(state)]: at ? dayTime(new Date(at)) : "",
    Attempt: String(job.attempt),
    Error: el("span", { class: "error" }, said(job.error)),
    Progress: said(`${percent}${job.message}`),
    Action: steerable ? actionOf(state, job, done) : "",
  };
  return el("tr", {}, ...columns(state).map((name) => el("td", { "data-label": name }, cells[name])));
}

function actionOf(state, job, done) {
  const [text, act] = state === "queued" || state === "running" ? ["Cancel", cancelJob] : ["Retry", retryJob];
  const run = async () => (await act(job)) && done();
  return actionButton(text, `${text} job ${visible(job.id)}`, run, { class: "small" });
}
