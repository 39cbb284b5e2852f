// Lists of jobs: one state at a time, filtered by task and key, page by page. A list stands still while it is read.

import { actionButton, cancelJob, load, retryAll, retryJob, steerable } from "./actions.js";
import { byId, el, jobLink, said, setText, show, visible } from "./dom.js";
import { clockTime, counted, dayTime } from "./format.js";
import { now } from "./clock.js";

const STATES = ["queued", "running", "failed", "stale", "dead", "succeeded", "cancelled", "dropped", "expired"];
const WORDS = { queued: "Waiting" };
const word = (state) => WORDS[state] ?? state[0].toUpperCase() + state.slice(1);
const RERUN = ["stale", "dead", "failed"];
const MOST_ASKED = 10;
let view = null;
let counts = {};

export function openJobs(parameters) {
  const asked = { state: parameters.get("state") ?? "queued", task: parameters.get("task") ?? "", key: parameters.get("key") ?? "" };
  if (!STATES.includes(asked.state)) asked.state = "queued";
  view = jobsView(asked);
  byId("jobs").replaceChildren(view.node);
  view.refresh();
  return view.heading;
}

export function showCounts(status, ended) {
  counts = { ...(ended?.counts ?? {}), queued: status?.pending ?? 0, running: status?.running ?? 0 };
  view?.count();
}

function address({ state, task, key }) {
  const parameters = new URLSearchParams({ state });
  if (task) parameters.set("task", task);
  if (key) parameters.set("key", key);
  return `#/jobs?${parameters}`;
}

function jobsView(asked) {
  const heading = el("h2", { tabindex: -1, "data-heading": true }, `${word(asked.state)} jobs`);
  const tabs = new Map(STATES.map((state) => [state, el("span", { class: "count" })]));
  const states = el("nav", { class: "states", "aria-label": "State" }, ...STATES.map((state) =>
    el("a", { href: address({ ...asked, state }), "aria-current": state === asked.state ? "page" : null }, word(state), " ", tabs.get(state))));
  const task = field("task", "Task", asked.task);
  const key = field("key", "Key", asked.key);
  const filter = el("form", { class: "filter", "aria-label": "Filter" }, task.node, key.node,
    el("button", { type: "submit" }, "Filter"),
    asked.task || asked.key ? el("a", { href: address({ state: asked.state }) }, "Show all") : null);
  filter.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = address({ state: asked.state, task: task.input.value, key: key.input.value });
  });
  const body = el("tbody");
  const table = el("table", { class: "jobs" },
    el("caption", { class: "unseen" }, `${word(asked.state)} jobs`),
    el("thead", {}, el("tr", {}, ...columns(asked.state).map((name) => el("th", { scope: "col" }, name)))), body);
  const none = el("p", { class: "empty", hidden: true }, "There are none.");
  const note = el("span", { class: "quiet-text", role: "status" });
  const more = actionButton("More", "More", () => next());
  const refresh = actionButton("Refresh", "Refresh", () => first());
  const again = steerable && RERUN.includes(asked.state)
    ? actionButton("Re-run all", `Re-run all ${asked.state} jobs`, async () => (await retryAll(asked.state, counted(counts[asked.state] ?? 0))) && first())
    : null;
  let after = null;

  async function page(from) {
    const parameters = { state: asked.state };
    if (asked.task) parameters.task = asked.task;
    if (asked.key) parameters.key = asked.key;
    if (from !== null) parameters.after = from;
    return load("jobs", parameters);
  }
  // A page may be empty although others follow, when few jobs fit the filter.
  async function search(from) {
    let found = await page(from);
    for (let asked = 1; asked < MOST_ASKED && !found.jobs.length && found.after !== null; asked++) found = await page(found.after);
    return found;
  }
  async function put(from) {
    try {
      const found = await search(from);
      if (from === null) body.replaceChildren();
      body.append(...found.jobs.map((job) => row(asked.state, job, first)));
      after = found.after;
      const rows = body.childElementCount;
      show(none, rows === 0 && after === null);
      show(table, rows > 0);
      show(more, after !== null);
      const rest = after === null ? "; that is all" : rows === 0 ? "; there may be some further on" : "";
      setText(note, `${rows} shown, as of ${clockTime(now())}${rest}.`);
    } catch (error) {
      setText(note, error.message);
    }
  }
  const first = () => put(null);
  const next = () => put(after);
  const count = () => {
    for (const [state, node] of tabs) setText(node, counts[state] ? counted(counts[state]) : "");
  };
  show(more, false);
  count();
  const node = el("section", { class: "card" }, heading, states, filter,
    el("div", { class: "row-line" }, note, el("span", { class: "push" }), again, refresh),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${word(asked.state)} jobs` }, table), none, more);
  return { node, heading, refresh: first, count };
}

function field(name, label, value) {
  const input = el("input", { id: `filter-${name}`, name, value, autocomplete: "off", spellcheck: "false" });
  return { input, node: el("div", {}, el("label", { for: `filter-${name}` }, label), input) };
}

const columns = (state) => [
  state === "queued" ? "Place" : null, "Job", "Task", "Key", timeColumn(state), "Attempt",
  state === "queued" || state === "succeeded" ? null : state === "running" ? "Progress" : "Error",
  steerable && state !== "succeeded" ? "Action" : null,
].filter((name) => name !== null);

const timeColumn = (state) => (state === "queued" ? "Enqueued" : state === "running" ? "Started" : "Ended");

function row(state, job, done) {
  const at = state === "queued" ? job.created_at : state === "running" ? job.started_at : job.ended_at;
  const cells = {
    Place: job.position === null ? "" : String(job.position),
    Job: jobLink(job.id),
    Task: said(job.task),
    Key: job.key === null ? "" : said(job.key),
    [timeColumn(state)]: at ? dayTime(new Date(at)) : "",
    Attempt: String(job.attempt),
    Error: el("span", { class: "error" }, said(job.error)),
    Progress: `${job.progress === null ? "" : `${Math.floor(job.progress * 100)} % `}${visible(job.message)}`,
    Action: steerable ? button(state, job, done) : "",
  };
  return el("tr", {}, ...columns(state).map((name) => el("td", { "data-label": name }, cells[name])));
}

function button(state, job, done) {
  const id = visible(job.id);
  if (state === "queued" || state === "running") {
    return actionButton("Cancel", `Cancel job ${id}`, async () => (await cancelJob(job)) && done(), { class: "small" });
  }
  return actionButton("Retry", `Retry job ${id}`, async () => (await retryJob(job)) && done(), { class: "small" });
}
